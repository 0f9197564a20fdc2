"""Which services can be placed at all: as many as possible, with as few groups across islands as possible."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from gputui.planning.placement.packing import Nodes, Packer
from gputui.planning.placement.problem import Demand, Placement, Places, Problem

NODES = 20_000
"""Partial placements examined to decide whether everything fits."""
STEP_NODES = 600
"""The same for each intermediate question."""
MOST_TRIES = 300
MOST_FOLLOWED = 12
"""How many equally good choices within one priority are carried on to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The common start of all strategies: which services are placed (by number), one way to place them (`witness`), and
    the packer with the sets of GPUs they may choose from."""

    problem: Problem
    packer: Packer
    placed: tuple[int, ...]
    witness: dict[int, Places]
    proved: bool
    reasons: dict[int, str]


def place_all(problem: Problem) -> Start:
    """Place as many services as possible, with as few groups across islands as possible."""
    gpus = [gpu.headroom_mib for gpu in problem.gpus]
    reasons = {
        number: "no_gpu_alone" for number, demand in enumerate(problem.demands) if not _alone(problem, demand, gpus)
    }
    numbers = tuple(number for number in range(len(problem.demands)) if number not in reasons)
    packer, witness, proved = _fewest_crossings(problem, numbers, gpus)
    if witness is None:
        numbers = _as_many_as_fit(problem, numbers, gpus)
        for number in range(len(problem.demands)):
            if number not in numbers:
                reasons.setdefault(number, "no_room_left")
        packer, witness, _ = _fewest_crossings(problem, numbers, gpus)
        proved = False  # leaving out other services may be better for the rest
    return Start(problem=problem, packer=packer, placed=numbers, witness=witness or {}, proved=proved, reasons=reasons)


def _alone(problem: Problem, demand: Demand, gpus: Sequence[int]) -> bool:
    """Whether the service would fit by itself."""
    for group in problem.groups(demand, across=True):
        fitting = [place for place in group if (demand.needs_mib[place] or 0) <= gpus[place]]
        if len(fitting) >= demand.count:
            return True
    return False


def _packer(problem: Problem, across: Iterable[int]) -> Packer:
    """A packer in which only the services `across` may be spread over islands."""
    crossing = set(across)
    return Packer(
        problem, [problem.groups(demand, across=number in crossing) for number, demand in enumerate(problem.demands)]
    )


def _fewest_crossings(
    problem: Problem, numbers: Sequence[int], gpus: Sequence[int]
) -> tuple[Packer, dict[int, Places] | None, bool]:
    """A packing with as few groups as possible spread over islands."""
    groups = [number for number in numbers if problem.demands[number].count > 1 and problem.demands[number].group]
    proved = True
    for count in range(len(groups) + 1):
        for across in combinations(groups, count):
            packer = _packer(problem, across)
            packing = packer.pack(gpus, numbers, Nodes(NODES if count in (0, len(groups)) else STEP_NODES))
            if packing is not None:
                # Spreading other groups may be better for the rest.
                return packer, packing, proved and count == 0
            proved = proved and packer.complete
        if count == 1 and len(groups) > 4:
            break
    packer = _packer(problem, groups)
    packing = packer.pack(gpus, numbers, Nodes(NODES))
    return packer, packing, False


def _as_many_as_fit(problem: Problem, numbers: Sequence[int], gpus: Sequence[int]) -> tuple[int, ...]:
    """The services that can be placed together: as many as possible of those that have places, highest priority first,
    then of the others.

    With few services, every choice of those left out is tried, fewest first, and several equally good choices of a
    priority are carried on. With many, one after another, small ones first, as long as all fit.
    """
    packer = _packer(problem, numbers)
    followed: list[list[int]] = [[]]
    ranks = {number: (bool(problem.demands[number].current), problem.demands[number].priority) for number in numbers}
    for rank in sorted(set(ranks.values()), reverse=True):
        level = [number for number in numbers if ranks[number] == rank]
        level.sort(key=lambda number: (problem.demands[number].size * problem.demands[number].count, number))
        followed = _most_of_level(packer, followed, level, gpus)
    return tuple(sorted(followed[0]))


def _most_of_level(
    packer: Packer, followed: Sequence[Sequence[int]], level: Sequence[int], gpus: Sequence[int]
) -> list[list[int]]:
    """Each of the choices `followed` so far, with as many of these services as any of them allows."""
    tries = 0
    for left_out in range(len(level) + 1):
        extended: list[list[int]] = []
        # The large ones are left out first.
        for base, omitted in product(followed, combinations(reversed(level), left_out)):
            tries += 1
            if tries > MOST_TRIES:
                return extended or [_one_by_one(packer, followed[0], level, gpus)]
            chosen = [*base, *(number for number in level if number not in omitted)]
            if packer.pack(gpus, chosen, Nodes(STEP_NODES)) is not None:
                extended.append(chosen)
        if extended:
            return extended[:MOST_FOLLOWED]
    return [list(followed[0])]


def _one_by_one(packer: Packer, base: Sequence[int], level: Sequence[int], gpus: Sequence[int]) -> list[int]:
    chosen = list(base)
    for number in level:
        if packer.pack(gpus, [*chosen, number], Nodes(STEP_NODES)) is not None:
            chosen.append(number)
    return chosen


def placement_of(start: Start, chosen: dict[int, Places], *, certain: bool) -> Placement:
    """The placement with the places chosen for each service."""
    places = tuple(chosen.get(number) for number in range(len(start.problem.demands)))
    return Placement(places=places, proved_best=certain and start.proved, reasons=start.reasons)
