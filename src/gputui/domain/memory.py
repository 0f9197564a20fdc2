"""The memory of a GPU, split by current and planned holders."""

from dataclasses import dataclass
from typing import Literal

from gputui.domain.gpu import GpuState

ShareKind = Literal["service", "expected", "foreign", "planned", "freed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryShare:
    """The memory of one holder: a `service` that keeps it, memory that a running service will still allocate
    (`expected`), `foreign` processes, a service that the draft adds (`planned`) or removes (`freed`)."""

    kind: ShareKind
    name: str
    mib: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuMemory:
    """Who holds a GPU's memory now, and how the draft would change that.

    `usable_mib` is the total without what driver and firmware reserve. `free_after_mib` is what remains after all
    services of the draft and all foreign memory; negative if that is too much, None if something is unknown.
    """

    uuid: str
    usable_mib: int | None
    shares: tuple[MemoryShare, ...] = ()
    free_after_mib: int | None = None
    over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuHeadroom:
    """The headroom of a GPU with one or more services added: negative if the memory is too small, None if unknown;
    `state` is that of its reading."""

    uuid: str
    left_mib: int | None
    fits: bool | None
    state: GpuState
