"""Whether a set of services fits on the GPUs at all, and one way to place it.

A search over partial placements, largest service first, tightest GPU first. It is fast with little slack because it
knows, for each GPU, which amounts the remaining services can add up to, so that memory that must stay unused is
detected early. Limited by a number of nodes and never by a clock, so that the same question gets the same answer.
"""

import random
from collections.abc import Iterator, Sequence

from gputui.planning.placement.problem import Places, Problem

ATTEMPTS = 16
ATTEMPT_NODES = 250
VARIATION = 0.3
"""A search that goes astray early rarely recovers, so several short ones in slightly different orders come before a
long one."""
MOST_SETS = 400
"""Sets of GPUs tried for one group at one node."""


class Nodes:
    """A budget of partial placements to examine."""

    def __init__(self, count: int) -> None:
        self.left = count

    def take(self) -> bool:
        """Use up one node; whether there was one left."""
        self.left -= 1
        return self.left >= 0


class Packer:
    """Packs the services of one problem, repeatedly under different limits. `groups` are, for each service, the sets of
    GPUs within which it may choose."""

    def __init__(self, problem: Problem, groups: Sequence[Sequence[Places]]) -> None:
        self._problem = problem
        self.groups = groups
        demands = problem.demands
        self.needs = [demand.needs_mib for demand in demands]
        self.counts = [demand.count for demand in demands]
        self.least = [min((need for need in demand.needs_mib if need is not None), default=0) for demand in demands]
        columns = [tuple(demand.needs_mib[place] for demand in demands) for place in range(len(problem.gpus))]
        column_numbers: dict[tuple[int | None, ...], int] = {}
        self.column = [column_numbers.setdefault(column, len(column_numbers)) for column in columns]
        self.columns = list(column_numbers)
        sets = sorted({group for choice in groups for group in choice})
        within = [tuple(number for number, group in enumerate(sets) if place in group) for place in range(len(columns))]
        numbers: dict[tuple[int, ...], int] = {}
        self.member = [numbers.setdefault(group_numbers, len(numbers)) for group_numbers in within]
        self.complete = True

    def pack(self, headroom: Sequence[int], numbers: Sequence[int], nodes: Nodes) -> dict[int, Places] | None:
        """Places for the services `numbers`, with `headroom[g]` MiB on GPU g; None if none were found.

        Afterwards, `complete` tells whether a None is proved: the nodes sufficed.
        """
        self.complete = True
        order = sorted(numbers, key=lambda number: (-self._weight(number), number))
        if sum(self.least[number] * self.counts[number] for number in order) > sum(max(0, free) for free in headroom):
            return None
        for tightest in (True, False):
            packing = self._greedy(list(headroom), order, tightest=tightest)
            if packing is not None:
                return packing
        for attempt in range(ATTEMPTS):
            attempt_nodes = Nodes(min(ATTEMPT_NODES, nodes.left))
            nodes.left -= attempt_nodes.left
            self.complete = True
            packing = _Search(self, list(headroom), self._varied(order, attempt), attempt_nodes).run()
            if packing is not None or self.complete:
                return packing
            if nodes.left <= 0:
                return None
        self.complete = True
        return _Search(self, list(headroom), order, nodes).run()

    def _varied(self, order: Sequence[int], attempt: int) -> Sequence[int]:
        """Nearly the same order: a different one at each attempt, but deterministic."""
        if attempt == 0:
            return order
        chance = random.Random(attempt)
        weights = {number: self._weight(number) * chance.uniform(1 - VARIATION, 1 + VARIATION) for number in order}
        return sorted(order, key=lambda number: (-weights[number], number))

    def _weight(self, number: int) -> int:
        """How hard a service is to place: its size, with groups somewhat harder."""
        return self._problem.demands[number].size * (9 + self.counts[number])

    def _greedy(self, headroom: list[int], order: Sequence[int], *, tightest: bool) -> dict[int, Places] | None:
        packing: dict[int, Places] = {}
        for number in order:
            needs, count = self.needs[number], self.counts[number]
            best: tuple[int, Places] | None = None
            for group in self.groups[number]:
                fitting = [(headroom[place] - (needs[place] or 0), place) for place in group]
                fitting = [pair for pair in fitting if pair[0] >= 0]
                if len(fitting) < count:
                    continue
                fitting.sort(key=lambda pair: pair if tightest else (-pair[0], pair[1]))
                slack = sum(pair[0] for pair in fitting[:count])
                score = slack if tightest else -slack
                if best is None or score < best[0]:
                    best = (score, tuple(sorted(place for _, place in fitting[:count])))
            if best is None:
                return None
            packing[number] = best[1]
            for place in best[1]:
                headroom[place] -= needs[place] or 0
        return packing


class _Search:
    """One depth-first search."""

    def __init__(self, packer: Packer, headroom: list[int], order: Sequence[int], nodes: Nodes) -> None:
        self._packer = packer
        self._headroom = headroom
        self._order = order
        self._nodes = nodes
        self._chosen: dict[int, Places] = {}
        self._failed: set[tuple[int, tuple[object, ...]]] = set()
        self._remaining = [0] * (len(order) + 1)
        for depth in range(len(order) - 1, -1, -1):
            number = order[depth]
            self._remaining[depth] = self._remaining[depth + 1] + packer.least[number] * packer.counts[number]
        self._groups_after = [False] * (len(order) + 1)
        for depth in range(len(order) - 1, -1, -1):
            self._groups_after[depth] = self._groups_after[depth + 1] or packer.counts[order[depth]] > 1
        self._sums = [self._reachable(column) for column in packer.columns]
        self._reach: list[list[dict[int, int]]] = [[{} for _ in range(len(order) + 1)] for _ in packer.columns]

    def _reachable(self, column: tuple[int | None, ...]) -> list[int]:
        """For each depth, as bits, the sums that the services from there on can reach on one GPU."""
        mask = (1 << (max((*self._headroom, 0)) + 1)) - 1
        sums = [1] * (len(self._order) + 1)
        for depth in range(len(self._order) - 1, -1, -1):
            need = column[self._order[depth]]
            later_sums = sums[depth + 1]
            sums[depth] = later_sums if need is None else (later_sums | later_sums << need) & mask
        return sums

    def run(self) -> dict[int, Places] | None:
        return dict(self._chosen) if self._place(0) else None

    def _wasted(self, depth: int) -> bool:
        """Whether more headroom must stay unused than there is to spare."""
        spare = sum(headroom for headroom in self._headroom if headroom > 0) - self._remaining[depth]
        if spare < 0:
            return True
        for place, headroom in enumerate(self._headroom):
            if headroom <= 0:
                continue  # it is full, closed, or above its limit
            column = self._packer.column[place]
            reachable = self._reach[column][depth]
            most = reachable.get(headroom)
            if most is None:
                below = self._sums[column][depth] & ((1 << (headroom + 1)) - 1)
                most = reachable[headroom] = below.bit_length() - 1
            spare -= headroom - most
            if spare < 0:
                return True
        return False

    def _place(self, depth: int) -> bool:
        if depth == len(self._order):
            return True
        if not self._nodes.take():
            self._packer.complete = False
            return False
        if self._wasted(depth):
            return False
        state = (depth, self._state(depth))
        if state in self._failed:
            return False
        number = self._order[depth]
        needs = self._packer.needs[number]
        for places in self._choices(number, depth):
            for place in places:
                self._headroom[place] -= needs[place] or 0
            self._chosen[number] = places
            if self._place(depth + 1):
                return True
            for place in places:
                self._headroom[place] += needs[place] or 0
            if self._nodes.left < 0:
                return False
        self._failed.add(state)
        return False

    def _state(self, depth: int) -> tuple[object, ...]:
        """What the rest of the search depends on: GPUs that are alike are interchangeable."""
        column, member = self._packer.column, self._packer.member
        if self._groups_after[depth]:
            return tuple(
                sorted((headroom, column[place], member[place]) for place, headroom in enumerate(self._headroom))
            )
        return tuple(sorted(zip(self._headroom, column, strict=True)))

    def _choices(self, number: int, depth: int) -> Iterator[Places]:
        """The sets of GPUs that the service may get here, tightest first; only one of equivalent sets."""
        needs, count = self._packer.needs[number], self._packer.counts[number]
        column, member = self._packer.column, self._packer.member
        groups_after = self._groups_after[depth + 1]
        tried_likenesses: set[tuple[object, ...]] = set()
        tried = 0
        for group in self._packer.groups[number]:
            alike: dict[tuple[int, int, int], list[int]] = {}
            for place in group:
                spare_mib = self._headroom[place] - (needs[place] or 0)
                if spare_mib >= 0:
                    alike.setdefault((spare_mib, column[place], member[place] if groups_after else 0), []).append(place)
            classes = sorted(alike.items())
            for amounts in _ways([len(places) for _, places in classes], count):
                likeness = tuple((kind, amount) for (kind, _), amount in zip(classes, amounts, strict=True) if amount)
                if likeness in tried_likenesses:
                    continue
                tried_likenesses.add(likeness)
                tried += 1
                if tried > MOST_SETS:
                    self._packer.complete = False
                    return
                chosen = zip(classes, amounts, strict=True)
                yield tuple(sorted(place for (_, places), amount in chosen for place in places[:amount]))


def _ways(sizes: Sequence[int], count: int) -> Iterator[tuple[int, ...]]:
    """The ways to take `count` items from classes of these sizes, as many as possible from the first classes first."""
    if not sizes:
        if count == 0:
            yield ()
        return
    if count > sum(sizes):
        return
    for amount in range(min(sizes[0], count), -1, -1):
        for remainder in _ways(sizes[1:], count - amount):
            yield (amount, *remainder)
