"""Services that choose their GPUs one after the other, each the best that leaves places for all after it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from gputui.planning.packing import Nodes
from gputui.planning.place_all import STEP_NODES, Start
from gputui.planning.placement import Demand, Places

MOST_CANDIDATES = 24
"""Sets of GPUs that are considered for one group, best first."""
MOST_FOR_SETS = 10
"""GPUs of which all sets are considered."""

Score = tuple[float, ...]
"""Smaller is better."""


@dataclass(slots=True)
class Turn:
    """How things stand when a service chooses: what is free on each GPU, and which services chose it already."""

    room: Sequence[int]
    guests: list[list[int]]


Judge = Callable[[int, Places, Turn], Score]
"""Judges the places that a service may choose."""


def in_turn(
    start: Start, order: Sequence[int], room: Sequence[int], judge: Judge, *, equal: float
) -> tuple[dict[int, Places], bool]:
    """Let the services choose in turn: each gets the best places that leave places for all after it.

    Figures of a judgement that differ by no more than `equal` count as the same, if the service is there already.
    Returns also whether every choice is proved to be the best.
    """
    problem, packer = start.problem, start.packer
    turn = Turn(room, [[] for _ in room])
    witness = dict(start.witness)
    chosen: dict[int, Places] = {}
    certain = True
    for at, one in enumerate(order):
        demand = problem.demands[one]
        best = witness[one]
        for places in candidates(start, one, turn, judge, equal):
            if witness[one] == places:
                best = places
                break
            found = packer.pack(without(turn.room, demand, places), order[at + 1 :], Nodes(STEP_NODES))
            if found is not None:
                best, witness = places, found
                break
            certain = certain and packer.complete
        chosen[one] = best
        turn.room = without(turn.room, demand, best)
        for place in best:
            turn.guests[place].append(one)
    return chosen, certain


def without(room: Sequence[int], demand: Demand, places: Places, *, closed: bool = False) -> list[int]:
    """The room that is left when a service has these places; `closed`, nothing else may go there."""
    left = list(room)
    for place in places:
        left[place] = -1 if closed else left[place] - (demand.needs_mib[place] or 0)
    return left


def candidates(
    start: Start,
    one: int,
    turn: Turn,
    judge: Judge,
    equal: float,
) -> list[Places]:
    """The sets of GPUs that a service may choose, best first."""
    problem, demand = start.problem, start.problem.demands[one]
    scored: dict[Places, Score] = {}
    for group in start.packer.groups[one]:
        fitting = [place for place in group if (demand.needs_mib[place] or 0) <= turn.room[place]]
        if demand.count > 1 and len(fitting) > MOST_FOR_SETS:
            # The best of a set are the best ones alone; all sets of many GPUs would be too many.
            fitting.sort(key=lambda place: (judge(one, (place,), turn), place))
            fitting = sorted(fitting[: max(MOST_FOR_SETS, demand.count)])
        for places in combinations(fitting, demand.count):
            scored[places] = (float(problem.crosses(demand, places)), *judge(one, places, turn))
    if not scored:
        return []
    best = min(scored.values())
    now = tuple(sorted(demand.current))
    mine = scored.get(now)
    if mine is not None and mine[0] == best[0] and all(a - b <= equal for a, b in zip(mine[1:], best[1:], strict=True)):
        scored[now] = (-1.0,)
    ranked = sorted(scored, key=lambda places: (scored[places], places))
    return ranked[:MOST_CANDIDATES]
