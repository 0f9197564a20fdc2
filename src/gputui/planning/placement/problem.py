"""The placement problem: GPUs with headroom, services that need it, and which service goes where."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True, kw_only=True)
class PlacementGpu:
    """One GPU as a place for services. All amounts in MiB.

    `headroom_mib` is what the services to be placed may take: live free memory and what they hold there themselves,
    minus the reserve. `used_mib` is what others hold and keep; fractions are of `total_mib`. `kind` is the same for
    GPUs that may work together, `island` for those with fast links; `speed` is memory bandwidth, then SMs × clock.
    """

    uuid: str
    headroom_mib: int
    total_mib: int
    used_mib: int = 0
    kind: str = ""
    island: str | None = None
    speed: tuple[float, float] = (0.0, 0.0)
    order: tuple[str, int, int] = ("", 0, 0)


@dataclass(frozen=True, kw_only=True)
class Demand:
    """One service to be placed on `count` different GPUs.

    `needs_mib` has an amount for every GPU of the problem, None for those it cannot use. A `group` serves each request
    together: its GPUs must be of one kind, and should be of one island; if `even`, it also needs about the same
    headroom on each before it starts. `current` are its present places, in its own order.
    """

    name: str
    count: int
    needs_mib: tuple[int | None, ...]
    group: bool = False
    even: bool = False
    priority: int = 0
    protected: bool = False
    current: tuple[int, ...] = ()

    @cached_property
    def size(self) -> int:
        """The largest amount that it needs anywhere; 0 if it cannot run anywhere."""
        return max((need for need in self.needs_mib if need is not None), default=0)


Places = tuple[int, ...]

EVEN = 0.9
"""SGLang refuses to start if one GPU of a group has less than this fraction of another's free memory ("The memory
capacity is unbalanced", sglang/srt/model_executor/model_runner.py)."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """GPUs and services in canonical order, by their properties and then by name, so that a server gives the same
    answer in whatever order it was listed."""

    gpus: tuple[PlacementGpu, ...]
    demands: tuple[Demand, ...]

    @cached_property
    def largest_total_mib(self) -> int:
        """The memory of the largest GPU; amounts are compared as fractions of it."""
        return max((gpu.total_mib for gpu in self.gpus), default=1)

    @cached_property
    def kinds(self) -> tuple[Places, ...]:
        """The GPUs that may work together, by kind."""
        return _by([gpu.kind for gpu in self.gpus])

    @cached_property
    def islands(self) -> tuple[Places, ...]:
        """The GPUs of one kind and one island; of one kind if islands are unknown."""
        return _by([(gpu.kind, gpu.island) for gpu in self.gpus])

    def groups(self, demand: Demand, *, across: bool) -> tuple[Places, ...]:
        """The sets of GPUs within which this service may choose; `across` islands, or within one."""
        if demand.count > 1 and demand.group:
            sets = self.kinds if across else self.islands
        else:
            sets = (tuple(range(len(self.gpus))),)
        usable = [tuple(place for place in group if demand.needs_mib[place] is not None) for group in sets]
        if demand.even:
            usable = [alike for group in usable for alike in self._alike(group)]
        return tuple(group for group in usable if len(group) >= demand.count)

    def _alike(self, places: Places) -> list[Places]:
        """The largest subsets of these GPUs in which no headroom is less than `EVEN` of another."""
        ordered = sorted(places, key=lambda place: (-self.gpus[place].headroom_mib, place))
        sets: list[Places] = []
        for index, most in enumerate(ordered):
            least = self.gpus[most].headroom_mib * EVEN
            alike = tuple(sorted(place for place in ordered[index:] if self.gpus[place].headroom_mib >= least))
            if not any(set(alike) <= set(group) for group in sets):
                sets.append(alike)
        return sets

    def crosses(self, demand: Demand, places: Sequence[int]) -> bool:
        """Whether a group is spread over several islands."""
        return demand.group and len({self.gpus[place].island for place in places}) > 1


def _by(labels: Sequence[object]) -> tuple[Places, ...]:
    sets: dict[object, list[int]] = {}
    for place, label in enumerate(labels):
        sets.setdefault(label, []).append(place)
    return tuple(tuple(places) for places in sets.values())


def canonical(gpus: Sequence[PlacementGpu], demands: Sequence[Demand]) -> Problem:
    """The problem in canonical order; needs and current places are renumbered."""
    # Islands are ordered by their properties, not by their names.
    islands: dict[str | None, list[tuple[int, int]]] = {}
    for gpu in gpus:
        islands.setdefault(gpu.island, []).append((gpu.total_mib, gpu.headroom_mib))
    likes = {label: sorted(members) for label, members in islands.items()}

    def key(place: int) -> tuple[object, ...]:
        gpu = gpus[place]
        needs = tuple(sorted(-1 if (need := demand.needs_mib[place]) is None else need for demand in demands))
        return (-gpu.total_mib, -gpu.headroom_mib, gpu.speed, needs, likes[gpu.island], gpu.order, gpu.uuid)

    order = sorted(range(len(gpus)), key=key)
    number = {place: index for index, place in enumerate(order)}
    renumbered = [
        Demand(
            name=demand.name,
            count=demand.count,
            needs_mib=tuple(demand.needs_mib[place] for place in order),
            group=demand.group,
            even=demand.even,
            priority=demand.priority,
            protected=demand.protected,
            current=tuple(number[place] for place in demand.current),
        )
        for demand in demands
    ]

    def likeness(demand: Demand) -> tuple[object, ...]:
        needs = tuple(-1 if need is None else need for need in demand.needs_mib)
        return (-demand.size, -demand.count, -demand.priority, demand.protected, demand.group, needs, demand.name)

    renumbered.sort(key=likeness)
    return Problem(gpus=tuple(gpus[place] for place in order), demands=tuple(renumbered))


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The places of each service, by its number in the problem; None for one without a place."""

    places: tuple[Places | None, ...]
    proved_best: bool = False
    reasons: dict[int, str] = field(default_factory=dict)

    def used(self, problem: Problem) -> list[int]:
        """MiB in use on each GPU, including those of others."""
        used = [gpu.used_mib for gpu in problem.gpus]
        for demand, places in zip(problem.demands, self.places, strict=True):
            for place in places or ():
                used[place] += demand.needs_mib[place] or 0
        return used

    def largest_fraction(self, problem: Problem) -> float:
        """The fraction used of the fullest GPU."""
        pairs = zip(self.used(problem), problem.gpus, strict=True)
        return max((used / gpu.total_mib for used, gpu in pairs), default=0.0)

    def moves(self, problem: Problem) -> int:
        """How many services that have places lose one of them, or get another."""
        pairs = zip(problem.demands, self.places, strict=True)
        return sum(bool(demand.current) and set(demand.current) != set(places or ()) for demand, places in pairs)
