"""Whether a set of services fits on the GPUs at all, and one way in which it does.

A search over partial placements, largest service first, tightest GPU first. What makes it fast where little room is
left over: of each GPU it is known which amounts the services still to be placed can add up to, so that memory that must
stay unused is seen early. Limited by a number of nodes and never by a clock, so that the same question gets the same
answer.
"""

import random
from collections.abc import Iterator, Sequence

from gputui.planning.placement.problem import Places, Problem

ATTEMPTS = 16
ATTEMPT_NODES = 250
VARIATION = 0.3
"""A search that goes astray early rarely finds back, so several short ones in somewhat different orders come before a
long one."""
MOST_SETS = 400
"""Sets of GPUs that are tried for one group at one node."""


class Nodes:
    """How many partial placements may still be looked at."""

    def __init__(self, count: int) -> None:
        self.left = count

    def take(self) -> bool:
        """Whether one more may be looked at."""
        self.left -= 1
        return self.left >= 0


class Packer:
    """Packs the services of one problem, again and again under other limits. `groups` are, for each service, the sets
    of GPUs within which it may choose."""

    def __init__(self, problem: Problem, groups: Sequence[Sequence[Places]]) -> None:
        self._problem = problem
        self.groups = groups
        demands = problem.demands
        self.needs = [one.needs_mib for one in demands]
        self.counts = [one.count for one in demands]
        self.least = [min((need for need in one.needs_mib if need is not None), default=0) for one in demands]
        columns = [tuple(one.needs_mib[place] for one in demands) for place in range(len(problem.gpus))]
        known: dict[tuple[int | None, ...], int] = {}
        self.column = [known.setdefault(column, len(known)) for column in columns]
        self.columns = list(known)
        sets = sorted({group for choice in groups for group in choice})
        within = [tuple(number for number, one in enumerate(sets) if place in one) for place in range(len(columns))]
        numbers: dict[tuple[int, ...], int] = {}
        self.member = [numbers.setdefault(one, len(numbers)) for one in within]
        self.complete = True

    def pack(self, headroom: Sequence[int], which: Sequence[int], nodes: Nodes) -> dict[int, Places] | None:
        """Places for the services `which`, where GPU g has `headroom[g]` MiB for them; None where none were found.

        `complete` tells afterwards whether a None is proved: the nodes sufficed.
        """
        self.complete = True
        order = sorted(which, key=lambda one: (-self._weight(one), one))
        if sum(self.least[one] * self.counts[one] for one in order) > sum(max(0, one) for one in headroom):
            return None
        for tightest in (True, False):
            found = self._greedy(list(headroom), order, tightest=tightest)
            if found is not None:
                return found
        for attempt in range(ATTEMPTS):
            short = Nodes(min(ATTEMPT_NODES, nodes.left))
            nodes.left -= short.left
            self.complete = True
            found = _Search(self, list(headroom), self._varied(order, attempt), short).run()
            if found is not None or self.complete:
                return found
            if nodes.left <= 0:
                return None
        self.complete = True
        return _Search(self, list(headroom), order, nodes).run()

    def _varied(self, order: Sequence[int], attempt: int) -> Sequence[int]:
        """Nearly the same order, another at each attempt and always the same ones."""
        if attempt == 0:
            return order
        chance = random.Random(attempt)
        weights = {one: self._weight(one) * chance.uniform(1 - VARIATION, 1 + VARIATION) for one in order}
        return sorted(order, key=lambda one: (-weights[one], one))

    def _weight(self, one: int) -> int:
        """How hard a service is to place: its size, and groups somewhat harder."""
        return self._problem.demands[one].size * (9 + self.counts[one])

    def _greedy(self, headroom: list[int], order: Sequence[int], *, tightest: bool) -> dict[int, Places] | None:
        found: dict[int, Places] = {}
        for one in order:
            needs, count = self.needs[one], self.counts[one]
            best: tuple[int, Places] | None = None
            for group in self.groups[one]:
                fitting = [(headroom[place] - (needs[place] or 0), place) for place in group]
                fitting = [pair for pair in fitting if pair[0] >= 0]
                if len(fitting) < count:
                    continue
                fitting.sort(key=lambda pair: pair if tightest else (-pair[0], pair[1]))
                left = sum(pair[0] for pair in fitting[:count])
                score = left if tightest else -left
                if best is None or score < best[0]:
                    best = (score, tuple(sorted(place for _, place in fitting[:count])))
            if best is None:
                return None
            found[one] = best[1]
            for place in best[1]:
                headroom[place] -= needs[place] or 0
        return found


class _Search:
    """One depth-first search."""

    def __init__(self, packer: Packer, headroom: list[int], order: Sequence[int], nodes: Nodes) -> None:
        self._packer = packer
        self._headroom = headroom
        self._order = order
        self._nodes = nodes
        self._found: dict[int, Places] = {}
        self._failed: set[tuple[int, tuple[object, ...]]] = set()
        self._rest = [0] * (len(order) + 1)
        for depth in range(len(order) - 1, -1, -1):
            one = order[depth]
            self._rest[depth] = self._rest[depth + 1] + packer.least[one] * packer.counts[one]
        self._groups_after = [False] * (len(order) + 1)
        for depth in range(len(order) - 1, -1, -1):
            self._groups_after[depth] = self._groups_after[depth + 1] or packer.counts[order[depth]] > 1
        self._sums = [self._reachable(column) for column in packer.columns]
        self._reach: list[list[dict[int, int]]] = [[{} for _ in range(len(order) + 1)] for _ in packer.columns]

    def _reachable(self, column: tuple[int | None, ...]) -> list[int]:
        """For each depth, as bits, the amounts that the services from there on can add up to on one GPU."""
        mask = (1 << (max((*self._headroom, 0)) + 1)) - 1
        sums = [1] * (len(self._order) + 1)
        for depth in range(len(self._order) - 1, -1, -1):
            need = column[self._order[depth]]
            after = sums[depth + 1]
            sums[depth] = after if need is None else (after | after << need) & mask
        return sums

    def run(self) -> dict[int, Places] | None:
        return dict(self._found) if self._place(0) else None

    def _wasted(self, depth: int) -> bool:
        """More headroom must stay unused than there is to spare."""
        spare = sum(headroom for headroom in self._headroom if headroom > 0) - self._rest[depth]
        if spare < 0:
            return True
        for place, headroom in enumerate(self._headroom):
            if headroom <= 0:
                continue  # it is full, closed, or holds more than it may
            column = self._packer.column[place]
            known = self._reach[column][depth]
            most = known.get(headroom)
            if most is None:
                below = self._sums[column][depth] & ((1 << (headroom + 1)) - 1)
                most = known[headroom] = below.bit_length() - 1
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
        one = self._order[depth]
        needs = self._packer.needs[one]
        for places in self._choices(one, depth):
            for place in places:
                self._headroom[place] -= needs[place] or 0
            self._found[one] = places
            if self._place(depth + 1):
                return True
            for place in places:
                self._headroom[place] += needs[place] or 0
            if self._nodes.left < 0:
                return False
        self._failed.add(state)
        return False

    def _state(self, depth: int) -> tuple[object, ...]:
        """What the rest of the search depends on: GPUs of which there are several alike are interchangeable."""
        column, member = self._packer.column, self._packer.member
        if self._groups_after[depth]:
            return tuple(
                sorted((headroom, column[place], member[place]) for place, headroom in enumerate(self._headroom))
            )
        return tuple(sorted(zip(self._headroom, column, strict=True)))

    def _choices(self, one: int, depth: int) -> Iterator[Places]:
        """The sets of GPUs that the service may get here, tightest first; of sets that are alike only one."""
        needs, count = self._packer.needs[one], self._packer.counts[one]
        column, member = self._packer.column, self._packer.member
        groups_after = self._groups_after[depth + 1]
        seen: set[tuple[object, ...]] = set()
        tried = 0
        for group in self._packer.groups[one]:
            alike: dict[tuple[int, int, int], list[int]] = {}
            for place in group:
                left = self._headroom[place] - (needs[place] or 0)
                if left >= 0:
                    alike.setdefault((left, column[place], member[place] if groups_after else 0), []).append(place)
            classes = sorted(alike.items())
            for amounts in _ways([len(places) for _, places in classes], count):
                likeness = tuple((kind, amount) for (kind, _), amount in zip(classes, amounts, strict=True) if amount)
                if likeness in seen:
                    continue
                seen.add(likeness)
                tried += 1
                if tried > MOST_SETS:
                    self._packer.complete = False
                    return
                chosen = zip(classes, amounts, strict=True)
                yield tuple(sorted(place for (_, places), amount in chosen for place in places[:amount]))


def _ways(sizes: Sequence[int], count: int) -> Iterator[tuple[int, ...]]:
    """The ways to take `count` things from classes of these sizes, as many as possible from the first ones first."""
    if not sizes:
        if count == 0:
            yield ()
        return
    if count > sum(sizes):
        return
    for amount in range(min(sizes[0], count), -1, -1):
        for rest in _ways(sizes[1:], count - amount):
            yield (amount, *rest)
