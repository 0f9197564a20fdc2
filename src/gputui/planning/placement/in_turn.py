"""Services that choose their GPUs in turn, each the best that leave places for all after it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from gputui.planning.placement.packing import Nodes
from gputui.planning.placement.place_all import STEP_NODES, Start
from gputui.planning.placement.problem import Demand, Places, Problem

MOST_CANDIDATES = 24
"""Sets of GPUs considered for one group, best first."""
MOST_FOR_SETS = 10
"""The largest number of GPUs for which all sets are considered."""

Score = tuple[float, ...]
"""Smaller is better."""


@dataclass(slots=True)
class Turn:
    """The state when a service chooses: the headroom on each GPU, and the services that already chose it."""

    headroom: Sequence[int]
    guests: list[list[int]]


Judge = Callable[[int, Places, Turn], Score]
"""Scores the places that a service may choose."""


def in_turn(
    start: Start, order: Sequence[int], headroom: Sequence[int], judge: Judge, *, equal: float
) -> tuple[dict[int, Places], bool]:
    """Let the services choose in turn: each gets the best places that leave places for all after it.

    Scores that differ by at most `equal` count as the same if the service is already there. Also returns whether every
    choice is proved to be the best.
    """
    problem, packer = start.problem, start.packer
    turn = Turn(headroom, [[] for _ in headroom])
    witness = dict(start.witness)
    chosen: dict[int, Places] = {}
    certain = True
    for position, number in enumerate(order):
        demand = problem.demands[number]
        best = witness[number]
        ranking = candidates(start, number, turn, judge, equal)
        for places in ranking.places:
            if witness[number] == places:
                best = places
                break
            packing = packer.pack(without(turn.headroom, demand, places), order[position + 1 :], Nodes(STEP_NODES))
            if packing is not None:
                best, witness = places, packing
                break
            certain = certain and packer.complete
        certain = certain and ranking.is_clear(best, turn, problem, last=position + 1 == len(order))
        chosen[number] = best
        turn.headroom = without(turn.headroom, demand, best)
        for place in best:
            turn.guests[place].append(number)
    return chosen, certain


def without(headroom: Sequence[int], demand: Demand, places: Places, *, closed: bool = False) -> list[int]:
    """The headroom left once a service has these places; `closed`: nothing else may go there."""
    remaining = list(headroom)
    for place in places:
        remaining[place] = -1 if closed else remaining[place] - (demand.needs_mib[place] or 0)
    return remaining


@dataclass(frozen=True, slots=True)
class Ranking:
    """The sets of GPUs that a service may choose, best first, with their scores; `complete`: none was left out."""

    places: tuple[Places, ...]
    scores: dict[Places, Score]
    complete: bool

    def is_clear(self, chosen: Places, turn: Turn, problem: Problem, *, last: bool) -> bool:
        """Whether no other choice is as good or better, except on GPUs that are alike: otherwise a later service might
        be better off with that one."""
        chosen_score = self.scores.get(chosen)
        if chosen_score is None or not self.complete:
            return False
        rivals = [places for places, score in self.scores.items() if score == chosen_score and places != chosen]
        if not last and any(_likeness(rival, turn, problem) != _likeness(chosen, turn, problem) for rival in rivals):
            return False
        feasible_better = [
            places for places in self.places[: self.places.index(chosen)] if self.scores[places] < chosen_score
        ]
        better = [places for places, score in self.scores.items() if score < chosen_score]
        # Better choices tried earlier were proved infeasible; none was skipped.
        return len(better) == len(feasible_better)


def _likeness(places: Places, turn: Turn, problem: Problem) -> tuple[object, ...]:
    """What a later service could distinguish these GPUs by."""
    has_islands = len(problem.islands) > 1 and any(demand.group for demand in problem.demands)
    return tuple(
        sorted(
            (
                turn.headroom[place],
                len(turn.guests[place]),
                problem.gpus[place].total_mib,
                problem.gpus[place].used_mib,
                problem.gpus[place].speed,
                problem.gpus[place].kind,
                problem.gpus[place].island if has_islands else "",
                tuple(-1 if (need := demand.needs_mib[place]) is None else need for demand in problem.demands),
            )
            for place in places
        )
    )


def candidates(start: Start, number: int, turn: Turn, judge: Judge, equal: float) -> Ranking:
    """The sets of GPUs that a service may choose."""
    problem, demand = start.problem, start.problem.demands[number]
    scored: dict[Places, Score] = {}
    complete = True
    for group in start.packer.groups[number]:
        fitting = [place for place in group if (demand.needs_mib[place] or 0) <= turn.headroom[place]]
        if demand.count > 1 and len(fitting) > MOST_FOR_SETS:
            # Combine only the individually best GPUs; all sets of many GPUs would be too many.
            fitting.sort(key=lambda place: (judge(number, (place,), turn), place))
            fitting = sorted(fitting[: max(MOST_FOR_SETS, demand.count)])
            complete = False
        for places in combinations(fitting, demand.count):
            scored[places] = (float(problem.crosses(demand, places)), *judge(number, places, turn))
    if not scored:
        return Ranking((), {}, complete=False)
    best = min(scored.values())
    current_places = tuple(sorted(demand.current))
    current_score = scored.get(current_places)
    stays = current_score is not None and current_score[0] == best[0]
    stays = stays and all(a - b <= equal for a, b in zip((current_score or ())[1:], best[1:], strict=True))

    def rank(places: Places) -> tuple[object, ...]:
        # Among equals, the one that touches the fewest islands comes first.
        touched = len({problem.gpus[place].island for place in places})
        return (not (stays and places == current_places), scored[places], touched, places)

    ranked = sorted(scored, key=rank)
    return Ranking(tuple(ranked[:MOST_CANDIDATES]), scored, complete and len(ranked) <= MOST_CANDIDATES)
