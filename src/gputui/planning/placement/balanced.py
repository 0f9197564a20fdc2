"""The balanced strategy."""

from itertools import combinations

from gputui.planning.placement.even_out import even_out
from gputui.planning.placement.in_turn import without
from gputui.planning.placement.packing import Nodes, Packer
from gputui.planning.placement.place_all import STEP_NODES, Start, placement_of
from gputui.planning.placement.problem import Demand, Placement, Places, Problem

EQUAL_FRACTION = 0.005
"""Everything stays where it is if the fullest GPU is fuller by at most this than it has to be."""
HALVINGS = 14
HALVING_NODES = 4500
"""Nodes for each question whether everything fits with no GPU fuller than some fraction."""
NEIGHBOURS = (1, 2, 3, 4)
MOST_NEIGHBOURS = 7
NEIGHBOUR_NODES = 250
"""With how many others the fullest GPU is packed anew, among how many of the emptiest ones."""
CLOSE = 0.001
"""It stops when it is known to be this close to the best."""


def balanced(start: Start) -> Placement:
    """The evenest fraction of memory in use (objective: minimise the largest fraction used over all GPUs; then the
    spread, as the sum of the squared fractions, is made smaller by single moves and exchanges).

    Proved is the first part. Where everything that is placed already may stay, the fullest GPU may be fuller by
    `EQUAL_FRACTION`; then nothing is proved.
    """
    problem = start.problem
    best, certain = _least_largest(start)
    limit = placement_of(start, best, certain=certain).largest_fraction(problem)
    now = {one: tuple(sorted(problem.demands[one].current)) for one in start.which}
    kept = _kept_where_they_are(start, best, now, limit + EQUAL_FRACTION)
    stays = {one for one in start.which if kept[one] == now[one]}
    if len(stays) < len(start.which):
        reached = placement_of(start, kept, certain=certain).largest_fraction(problem)
        kept = even_out(problem, start.packer, kept, movable=set(start.which) - stays, limit=max(limit, reached))
    reached = placement_of(start, kept, certain=certain).largest_fraction(problem)
    return placement_of(start, kept, certain=certain and reached <= limit + 1e-9)


def _under(problem: Problem, fraction: float) -> list[int]:
    """The headroom on each GPU if no more than this fraction of it may be in use."""
    return [min(one.headroom_mib, int(fraction * one.total_mib + 1e-6) - one.used_mib) for one in problem.gpus]


def _least_largest(start: Start) -> tuple[dict[int, Places], bool]:
    """A placement whose fullest GPU is as little full as possible, and whether that is proved: the range in which the
    answer lies is halved until it is found."""
    problem = start.problem
    low = floor = _at_least(start)
    best = even_out(problem, start.packer, start.witness, movable=set(start.which), limit=1.0)
    high = placement_of(start, best, certain=False).largest_fraction(problem)
    trial = low
    for _ in range(HALVINGS):
        if high - low <= CLOSE:
            break
        found = start.packer.pack(_under(problem, trial), start.which, Nodes(HALVING_NODES))
        if found is not None:
            best = found
            high = min(high, placement_of(start, found, certain=False).largest_fraction(problem))
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
    """The placement with the services of the fullest GPU and of some others packed anew, none of these GPUs fuller than
    `limit`; None where no such packing is found."""
    problem = start.problem
    used = placement_of(start, places, certain=False).used(problem)
    fractions = [use / gpu.total_mib for use, gpu in zip(used, problem.gpus, strict=True)]
    order = sorted(range(len(fractions)), key=lambda place: (fractions[place], place))
    fullest = order.pop()
    under = _under(problem, limit)
    for number in NEIGHBOURS:
        for others in combinations(order[:MOST_NEIGHBOURS], number):
            chosen = {fullest, *others}
            within = [one for one in start.which if set(places[one]) <= chosen]
            headroom = [under[place] if place in chosen else -1 for place in range(len(under))]
            for one in start.which:
                if one not in within:
                    for place in places[one]:
                        headroom[place] -= problem.demands[one].needs_mib[place] or 0
            found = (
                start.packer.pack(headroom, within, Nodes(NEIGHBOUR_NODES))
                if min(headroom[at] for at in chosen) >= 0
                else None
            )
            if found is not None:
                return {**places, **found}
    return None


def _at_least(start: Start) -> float:
    """A fraction below which the fullest GPU cannot be."""
    gpus, demands = start.problem.gpus, start.problem.demands
    least = [min(need for need in demands[one].needs_mib if need is not None) for one in start.which]
    whole = sum(need * demands[one].count for need, one in zip(least, start.which, strict=True))
    bounds = [(whole + sum(gpu.used_mib for gpu in gpus)) / sum(gpu.total_mib for gpu in gpus)] if gpus else []
    bounds += [gpu.used_mib / gpu.total_mib for gpu in gpus]
    for one in start.which:
        alone = sorted(
            (gpu.used_mib + need) / gpu.total_mib
            for gpu, need in zip(gpus, demands[one].needs_mib, strict=True)
            if need is not None
        )
        bounds.append(alone[demands[one].count - 1])
    return max(bounds, default=0.0)


def _kept_where_they_are(
    start: Start, best: dict[int, Places], now: dict[int, Places], limit: float
) -> dict[int, Places]:
    """As much as possible left where it is, with no GPU fuller than `limit`; else as in `best`."""
    problem = start.problem
    if not any(now.values()):
        return best
    headroom = _under(problem, limit)
    order = sorted(start.which, key=lambda one: (-problem.demands[one].size, one))
    witness = dict(best)
    chosen: dict[int, Places] = {}
    rest = list(order)
    for one in order:
        demand, places = problem.demands[one], now[one]
        if not is_allowed(start.packer, one, places, demand) or any(
            headroom[place] < (demand.needs_mib[place] or 0) for place in places
        ):
            continue
        after = without(headroom, demand, places)
        others = [other for other in rest if other != one]
        found = witness if witness.get(one) == places else start.packer.pack(after, others, Nodes(STEP_NODES))
        if found is not None:
            chosen[one], headroom, rest, witness = places, after, others, found
    return {**{one: witness[one] for one in rest}, **chosen}


def is_allowed(packer: Packer, one: int, places: Places, demand: Demand) -> bool:
    """Whether a service may have these places."""
    right_number = len(places) == demand.count
    return right_number and any(set(places) <= set(group) for group in packer.groups[one])
