"""Making a placement more even by small changes."""

from collections.abc import Iterator, Sequence

from gputui.planning.placement.packing import Packer
from gputui.planning.placement.problem import Places, Problem

MOST_CHANGES = 300
WORTH_IT = 1e-9
"""A smaller gain is a rounding error."""


def even_out(
    problem: Problem, packer: Packer, places: dict[int, Places], *, movable: set[int], limit: float
) -> dict[int, Places]:
    """The placement after moving single services, or exchanging two, as long as that makes the use more even (the sum
    of the squared fractions smaller) and no GPU fuller than `limit`, or than it is."""
    result = dict(places)
    evener = _Evener(problem, packer, result, limit)
    for _ in range(MOST_CHANGES):
        best = max(evener.changes(sorted(movable)), key=lambda one: one[0], default=(0.0, ()))
        if best[0] <= WORTH_IT:
            break
        for step in best[1]:
            evener.take(step)
    return result


_Shift = tuple[int, int, int]
"""A service, a GPU that it leaves, and the one that it gets instead."""


class _Evener:
    """Changes of a placement, and by how much each makes the sum of the squared fractions fall."""

    def __init__(self, problem: Problem, packer: Packer, places: dict[int, Places], limit: float) -> None:
        self._needs = [one.needs_mib for one in problem.demands]
        self._counts = [one.count for one in problem.demands]
        self._groups = packer.groups
        self._places = places
        self._totals = [gpu.total_mib for gpu in problem.gpus]
        self._used = [gpu.used_mib for gpu in problem.gpus]
        for one, at in places.items():
            for place in at:
                self._used[place] += self._needs[one][place] or 0
        self._caps = [
            max(use, min(gpu.used_mib + gpu.headroom_mib, int(limit * gpu.total_mib + 1e-6)))
            for use, gpu in zip(self._used, problem.gpus, strict=True)
        ]

    def changes(self, movable: Sequence[int]) -> Iterator[tuple[float, tuple[_Shift, ...]]]:
        """All moves of one service, and exchanges of two, that keep to the limits."""
        for one in movable:
            for here in self._places[one]:
                for there in range(len(self._used)):
                    shift = (one, here, there)
                    if not self._possible(shift):
                        continue
                    out, into = self._needs[one][here] or 0, self._needs[one][there] or 0
                    if self._used[there] + into <= self._caps[there]:
                        yield self._gain(here, there, out, into), (shift,)
                    else:
                        yield from self._exchanges(shift, out, into, movable)

    def _exchanges(
        self, shift: _Shift, out: int, into: int, movable: Sequence[int]
    ) -> Iterator[tuple[float, tuple[_Shift, ...]]]:
        one, here, there = shift
        for other in movable:
            back = (other, there, here)
            if other == one or there not in self._places[other] or not self._possible(back):
                continue
            gone, comes = self._needs[other][there] or 0, self._needs[other][here] or 0
            fits_there = self._used[there] + into - gone <= self._caps[there]
            if fits_there and self._used[here] - out + comes <= self._caps[here]:
                yield self._gain(here, there, out - comes, into - gone), (shift, back)

    def _possible(self, shift: _Shift) -> bool:
        one, _, there = shift
        if there in self._places[one] or self._needs[one][there] is None:
            return False
        if self._counts[one] == 1:
            return True
        moved = set(self._shifted(shift))
        return any(moved <= set(group) for group in self._groups[one])

    def _shifted(self, shift: _Shift) -> Places:
        one, here, there = shift
        return tuple(sorted((*(place for place in self._places[one] if place != here), there)))

    def _gain(self, here: int, there: int, out: int, into: int) -> float:
        used, totals = self._used, self._totals
        before = (used[here] / totals[here]) ** 2 + (used[there] / totals[there]) ** 2
        return before - ((used[here] - out) / totals[here]) ** 2 - ((used[there] + into) / totals[there]) ** 2

    def take(self, shift: _Shift) -> None:
        """Make one change."""
        one, here, there = shift
        self._places[one] = self._shifted(shift)
        self._used[here] -= self._needs[one][here] or 0
        self._used[there] += self._needs[one][there] or 0
