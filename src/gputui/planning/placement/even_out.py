"""Makes a placement more even by small changes."""

from collections.abc import Iterator, Sequence

from gputui.planning.placement.packing import Packer
from gputui.planning.placement.problem import Places, Problem

MOST_CHANGES = 300
WORTH_IT = 1e-9
"""A smaller gain is a rounding error."""


def even_out(
    problem: Problem, packer: Packer, places: dict[int, Places], *, movable: set[int], limit: float
) -> dict[int, Places]:
    """The placement after moving single services, or exchanging two, as long as that makes memory use more even (the
    sum of the squared fractions smaller) and no GPU fuller than `limit`, or than it is."""
    result = dict(places)
    evener = _Evener(problem, packer, result, limit)
    for _ in range(MOST_CHANGES):
        best = max(evener.changes(sorted(movable)), key=lambda change: change[0], default=(0.0, ()))
        if best[0] <= WORTH_IT:
            break
        for step in best[1]:
            evener.take(step)
    return result


_Shift = tuple[int, int, int]
"""A service, the GPU that it leaves, and the one that it gets instead."""


class _Evener:
    """Changes to a placement, and by how much each reduces the sum of the squared fractions."""

    def __init__(self, problem: Problem, packer: Packer, places: dict[int, Places], limit: float) -> None:
        self._needs = [demand.needs_mib for demand in problem.demands]
        self._counts = [demand.count for demand in problem.demands]
        self._groups = packer.groups
        self._places = places
        self._totals = [gpu.total_mib for gpu in problem.gpus]
        self._used = [gpu.used_mib for gpu in problem.gpus]
        for number, service_places in places.items():
            for place in service_places:
                self._used[place] += self._needs[number][place] or 0
        self._caps = [
            max(use, min(gpu.used_mib + gpu.headroom_mib, int(limit * gpu.total_mib + 1e-6)))
            for use, gpu in zip(self._used, problem.gpus, strict=True)
        ]

    def changes(self, movable: Sequence[int]) -> Iterator[tuple[float, tuple[_Shift, ...]]]:
        """All moves of one service and exchanges of two within the limits."""
        for number in movable:
            for source in self._places[number]:
                for target in range(len(self._used)):
                    shift = (number, source, target)
                    if not self._possible(shift):
                        continue
                    freed, added = self._needs[number][source] or 0, self._needs[number][target] or 0
                    if self._used[target] + added <= self._caps[target]:
                        yield self._gain(source, target, freed, added), (shift,)
                    else:
                        yield from self._exchanges(shift, freed, added, movable)

    def _exchanges(
        self, shift: _Shift, freed: int, added: int, movable: Sequence[int]
    ) -> Iterator[tuple[float, tuple[_Shift, ...]]]:
        number, source, target = shift
        for partner in movable:
            reverse = (partner, target, source)
            if partner == number or target not in self._places[partner] or not self._possible(reverse):
                continue
            partner_freed, partner_added = self._needs[partner][target] or 0, self._needs[partner][source] or 0
            fits_there = self._used[target] + added - partner_freed <= self._caps[target]
            if fits_there and self._used[source] - freed + partner_added <= self._caps[source]:
                yield self._gain(source, target, freed - partner_added, added - partner_freed), (shift, reverse)

    def _possible(self, shift: _Shift) -> bool:
        number, _, target = shift
        if target in self._places[number] or self._needs[number][target] is None:
            return False
        if self._counts[number] == 1:
            return True
        moved = set(self._shifted(shift))
        return any(moved <= set(group) for group in self._groups[number])

    def _shifted(self, shift: _Shift) -> Places:
        number, source, target = shift
        return tuple(sorted((*(place for place in self._places[number] if place != source), target)))

    def _gain(self, source: int, target: int, freed: int, added: int) -> float:
        used, totals = self._used, self._totals
        current = (used[source] / totals[source]) ** 2 + (used[target] / totals[target]) ** 2
        return current - ((used[source] - freed) / totals[source]) ** 2 - ((used[target] + added) / totals[target]) ** 2

    def take(self, shift: _Shift) -> None:
        """Apply one shift."""
        number, source, target = shift
        self._places[number] = self._shifted(shift)
        self._used[source] -= self._needs[number][source] or 0
        self._used[target] += self._needs[number][target] or 0
