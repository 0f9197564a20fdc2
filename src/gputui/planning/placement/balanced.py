"""The balanced strategy."""

from itertools import combinations

from gputui.planning.placement.even_out import even_out
from gputui.planning.placement.in_turn import without
from gputui.planning.placement.packing import Nodes, Packer
from gputui.planning.placement.place_all import STEP_NODES, Start, placement_of
from gputui.planning.placement.problem import Demand, Placement, Places, Problem

EQUAL_FRACTION = 0.005
"""Nothing moves if the fullest GPU exceeds the optimum by at most this."""
HALVINGS = 14
HALVING_NODES = 4500
"""Nodes per check whether everything fits with no GPU fuller than some fraction."""
NEIGHBOURS = (1, 2, 3, 4)
MOST_NEIGHBOURS = 7
NEIGHBOUR_NODES = 250
"""Limits for repacking: how many other GPUs join the fullest one, from how many of the emptiest, and the nodes for each
try."""
CLOSE = 0.001
"""The search stops once it is known to be this close to the optimum."""


def balanced(start: Start) -> Placement:
    """The most even memory use (objective: minimise the largest fraction used over all GPUs; then reduce the spread, as
    the sum of the squared fractions, by single moves and exchanges).

    Only the first part is proved. If everything already placed may stay, the fullest GPU may exceed the optimum by
    `EQUAL_FRACTION`; then nothing is proved.
    """
    problem = start.problem
    best, certain = _least_largest(start)
    limit = placement_of(start, best, certain=certain).largest_fraction(problem)
    current_places = {number: tuple(sorted(problem.demands[number].current)) for number in start.placed}
    settled = _kept_where_they_are(start, best, current_places, limit + EQUAL_FRACTION)
    stays = {number for number in start.placed if settled[number] == current_places[number]}
    if len(stays) < len(start.placed):
        reached = placement_of(start, settled, certain=certain).largest_fraction(problem)
        settled = even_out(problem, start.packer, settled, movable=set(start.placed) - stays, limit=max(limit, reached))
    reached = placement_of(start, settled, certain=certain).largest_fraction(problem)
    return placement_of(start, settled, certain=certain and reached <= limit + 1e-9)


def _under(problem: Problem, fraction: float) -> list[int]:
    """The headroom on each GPU if at most this fraction of it may be in use."""
    return [min(gpu.headroom_mib, int(fraction * gpu.total_mib + 1e-6) - gpu.used_mib) for gpu in problem.gpus]


def _least_largest(start: Start) -> tuple[dict[int, Places], bool]:
    """A placement whose fullest GPU is as empty as possible, and whether that is proved: a binary search for the
    limit."""
    problem = start.problem
    low = floor = _at_least(start)
    best = even_out(problem, start.packer, start.witness, movable=set(start.placed), limit=1.0)
    high = placement_of(start, best, certain=False).largest_fraction(problem)
    trial = low
    for _ in range(HALVINGS):
        if high - low <= CLOSE:
            break
        packing = start.packer.pack(_under(problem, trial), start.placed, Nodes(HALVING_NODES))
        if packing is not None:
            best = packing
            high = min(high, placement_of(start, packing, certain=False).largest_fraction(problem))
        else:
            low = trial
            floor = trial if start.packer.complete else floor
        trial = (low + high) / 2
    while high - floor > CLOSE:
        better = _around_the_fullest(start, best, high - CLOSE)
        if better is None:
            break
        best = better
        high = placement_of(start, best, certain=False).largest_fraction(problem)
    return best, high - floor <= CLOSE


def _around_the_fullest(start: Start, places: dict[int, Places], limit: float) -> dict[int, Places] | None:
    """The placement with the services of the fullest GPU and some others repacked, none of these GPUs fuller than
    `limit`; None if no such packing is found."""
    problem = start.problem
    used = placement_of(start, places, certain=False).used(problem)
    fractions = [use / gpu.total_mib for use, gpu in zip(used, problem.gpus, strict=True)]
    order = sorted(range(len(fractions)), key=lambda place: (fractions[place], place))
    fullest = order.pop()
    under = _under(problem, limit)
    for count in NEIGHBOURS:
        for neighbours in combinations(order[:MOST_NEIGHBOURS], count):
            chosen = {fullest, *neighbours}
            within = [number for number in start.placed if set(places[number]) <= chosen]
            headroom = [under[place] if place in chosen else -1 for place in range(len(under))]
            for number in start.placed:
                if number not in within:
                    for place in places[number]:
                        headroom[place] -= problem.demands[number].needs_mib[place] or 0
            packing = (
                start.packer.pack(headroom, within, Nodes(NEIGHBOUR_NODES))
                if min(headroom[place] for place in chosen) >= 0
                else None
            )
            if packing is not None:
                return {**places, **packing}
    return None


def _at_least(start: Start) -> float:
    """A lower bound for the fraction of the fullest GPU."""
    gpus, demands = start.problem.gpus, start.problem.demands
    least = [min(need for need in demands[number].needs_mib if need is not None) for number in start.placed]
    total_need = sum(need * demands[number].count for need, number in zip(least, start.placed, strict=True))
    bounds = [(total_need + sum(gpu.used_mib for gpu in gpus)) / sum(gpu.total_mib for gpu in gpus)] if gpus else []
    bounds += [gpu.used_mib / gpu.total_mib for gpu in gpus]
    for number in start.placed:
        alone = sorted(
            (gpu.used_mib + need) / gpu.total_mib
            for gpu, need in zip(gpus, demands[number].needs_mib, strict=True)
            if need is not None
        )
        bounds.append(alone[demands[number].count - 1])
    return max(bounds, default=0.0)


def _kept_where_they_are(
    start: Start, best: dict[int, Places], current_places: dict[int, Places], limit: float
) -> dict[int, Places]:
    """As many services as possible left in place, with no GPU fuller than `limit`; the others as in `best`."""
    problem = start.problem
    if not any(current_places.values()):
        return best
    headroom = _under(problem, limit)
    order = sorted(start.placed, key=lambda number: (-problem.demands[number].size, number))
    witness = dict(best)
    chosen: dict[int, Places] = {}
    remaining = list(order)
    for number in order:
        demand, places = problem.demands[number], current_places[number]
        if not is_allowed(start.packer, number, places, demand) or any(
            headroom[place] < (demand.needs_mib[place] or 0) for place in places
        ):
            continue
        reduced = without(headroom, demand, places)
        unsettled = [candidate for candidate in remaining if candidate != number]
        packing = witness if witness.get(number) == places else start.packer.pack(reduced, unsettled, Nodes(STEP_NODES))
        if packing is not None:
            chosen[number], headroom, remaining, witness = places, reduced, unsettled, packing
    return {**{number: witness[number] for number in remaining}, **chosen}


def is_allowed(packer: Packer, number: int, places: Places, demand: Demand) -> bool:
    """Whether a service may have these places."""
    right_number = len(places) == demand.count
    return right_number and any(set(places) <= set(group) for group in packer.groups[number])
