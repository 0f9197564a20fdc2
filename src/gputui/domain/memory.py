"""One GPU's memory, split by who has it and who will."""

from dataclasses import dataclass
from typing import Literal

from gputui.domain.gpu import GpuState

ShareKind = Literal["service", "expected", "foreign", "planned", "freed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryShare:
    """Memory of one holder: a `service` that has and keeps it, what a service that runs there has still to take
    (`expected`), `foreign` processes, a service that the draft adds (`planned`) or takes away (`freed`)."""

    kind: ShareKind
    name: str
    mib: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuMemory:
    """Who holds a GPU's memory now, and what the draft would make of it.

    `usable_mib` is the total without what driver and firmware keep. `free_after_mib` counts what every service of the
    draft needs and all foreign memory; it is negative where that is too much, None where something is unknown.
    """

    uuid: str
    usable_mib: int | None
    shares: tuple[MemoryShare, ...] = ()
    free_after_mib: int | None = None
    over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuHeadroom:
    """What a GPU would have left with one or more services on it: negative where it is too little, None where that
    cannot be told; `state` is that of its reading."""

    uuid: str
    left_mib: int | None
    fits: bool | None
    state: GpuState
