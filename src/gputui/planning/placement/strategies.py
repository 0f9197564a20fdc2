"""The strategies: each proposes where services go, and states its objective.

All of them first place as many services as possible (higher priorities first), then keep groups within islands, then
follow their objective, and break ties by the fewest moves. The searches are limited by node counts, so the same problem
gets the same answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from gputui.planning.placement.balanced import balanced
from gputui.planning.placement.in_turn import Score, Turn, candidates, in_turn, without
from gputui.planning.placement.packing import Nodes
from gputui.planning.placement.place_all import MOST_TRIES, STEP_NODES, Start, place_all, placement_of
from gputui.planning.placement.problem import Placement, Places, Problem

Strategy = Literal["vram", "latency", "isolation", "balanced"]

EQUAL = 0.02
"""A service stays if its place is worse than the best by at most this fraction of a GPU's memory: free memory changes
by a few MiB from one reading to the next."""


def solve(strategy: Strategy, problem: Problem) -> Placement:
    """What a strategy proposes."""
    return _STRATEGIES[strategy](place_all(problem))


def _vram(start: Start) -> Placement:
    """Largest services first, each on the GPUs with the most free memory (objective: for each service in turn, largest
    need first, maximise the free memory of the fuller of its GPUs before it starts)."""
    problem = start.problem
    largest = problem.largest_total_mib

    def judge(number: int, places: Places, turn: Turn) -> Score:
        del number
        return (-min(turn.headroom[place] for place in places) / largest,)

    order = sorted(
        start.placed, key=lambda number: (-problem.demands[number].size, -problem.demands[number].count, number)
    )
    chosen, certain = in_turn(start, order, [gpu.headroom_mib for gpu in problem.gpus], judge, equal=EQUAL)
    return placement_of(start, chosen, certain=certain)


def _latency(start: Start) -> Placement:
    """Services by priority, each on the fastest GPUs (objective: for each service in turn, highest priority first, then
    largest need, maximise memory bandwidth, then SMs × clock, divided by the number of services on the GPU)."""
    problem = start.problem
    gpus = problem.gpus

    def judge(number: int, places: Places, turn: Turn) -> Score:
        del number
        return (
            -min(gpus[place].speed[0] / (len(turn.guests[place]) + 1) for place in places),
            -min(gpus[place].speed[1] / (len(turn.guests[place]) + 1) for place in places),
            max(len(turn.guests[place]) for place in places),
        )

    order = sorted(
        start.placed, key=lambda number: (-problem.demands[number].priority, -problem.demands[number].size, number)
    )
    chosen, certain = in_turn(start, order, [gpu.headroom_mib for gpu in gpus], judge, equal=0.0)
    return placement_of(start, chosen, certain=certain)


def _isolation(start: Start) -> Placement:
    """Protected services alone on the smallest GPUs that hold them, the others spread over all other GPUs (objective:
    maximise the protected services that are alone, higher priorities first, then minimise the total memory of the GPUs
    they keep, then for each service in turn, largest need first, the protected services that it joins, then the
    fraction of memory used on its GPUs).

    If no service is marked, the one with the highest priority, then the largest need, is protected.
    """
    demands = start.problem.demands
    ranked = sorted(start.placed, key=lambda number: (-demands[number].priority, -demands[number].size, number))
    protected = [number for number in ranked if demands[number].protected] or ranked[:1]
    unprotected = sorted(
        (number for number in ranked if number not in protected), key=lambda number: (-demands[number].size, number)
    )
    certain = True
    for alone in range(len(protected), -1, -1):
        chosen, sure = _apart(start, protected[:alone], protected[alone:], unprotected)
        certain = certain and sure
        if chosen is not None:
            return placement_of(start, chosen, certain=certain)
    return placement_of(start, start.witness, certain=False)


def _apart(
    start: Start, alone: Sequence[int], sharing: Sequence[int], unprotected: Sequence[int]
) -> tuple[dict[int, Places] | None, bool]:
    """The services `alone` on GPUs of their own, the smallest; the `unprotected` ones next to protected ones that are
    `sharing` only if they must. None if the others then find no places. Also returns whether the answer is proved."""
    problem = start.problem
    gpus = problem.gpus
    largest = problem.largest_total_mib
    followers = [*sharing, *unprotected]

    def smallest(number: int, places: Places, turn: Turn) -> Score:
        del number, turn
        total = sum(gpus[place].total_mib for place in places)
        return (total / largest, max(gpus[place].used_mib for place in places) / largest)

    def apart_then_least_used(number: int, places: Places, turn: Turn) -> Score:
        needs = problem.demands[number].needs_mib
        joined = {guest for place in places for guest in turn.guests[place] if guest in sharing}
        used = max(1 - (turn.headroom[place] - (needs[place] or 0)) / gpus[place].total_mib for place in places)
        return (len(joined), used)

    tries = Nodes(MOST_TRIES)
    certain = True

    def choose(
        index: int, headroom: Sequence[int]
    ) -> tuple[dict[int, Places], Sequence[int], dict[int, Places]] | None:
        nonlocal certain
        if index == len(alone):
            witness = start.packer.pack(headroom, followers, Nodes(STEP_NODES))
            certain = certain and (witness is not None or start.packer.complete)
            return None if witness is None else ({}, headroom, witness)
        number = alone[index]
        ranking = candidates(start, number, Turn(headroom, [[] for _ in gpus]), smallest, EQUAL)
        # With several services, the first fit need not be the smallest in total.
        certain = certain and len(alone) + len(sharing) == 1 and ranking.complete
        certain = certain and not (ranking.places and ranking.scores[ranking.places[0]] > min(ranking.scores.values()))
        for places in ranking.places:
            if not tries.take():
                certain = False
                return None
            choice = choose(index + 1, without(headroom, problem.demands[number], places, closed=True))
            if choice is not None:
                return {number: places, **choice[0]}, choice[1], choice[2]
        return None

    choice = choose(0, [gpu.headroom_mib for gpu in gpus])
    if choice is None:
        return None, certain
    chosen, headroom, witness = choice
    placed, sure = in_turn(replace(start, witness=witness), followers, headroom, apart_then_least_used, equal=EQUAL)
    return {**chosen, **placed}, certain and sure


_STRATEGIES: dict[Strategy, Callable[[Start], Placement]] = {
    "vram": _vram,
    "latency": _latency,
    "isolation": _isolation,
    "balanced": balanced,
}
