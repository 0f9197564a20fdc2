"""The complete state at one moment."""

from dataclasses import dataclass

from gputui.domain.assignment import Draft
from gputui.domain.container import EngineInfo
from gputui.domain.event import ApplyRecord
from gputui.domain.finding import Finding
from gputui.domain.gpu import GpuInventory, Reading
from gputui.domain.injection import MechanismName
from gputui.domain.memory import GpuMemory
from gputui.domain.message import Message
from gputui.domain.service import Service
from gputui.domain.unexpected import WatchFault


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """The engine, or why it cannot be reached and what to do about it; `pending`: the first call has not finished."""

    info: EngineInfo | None = None
    reason: str | None = None
    fix: str | None = None
    pending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The observed state (`inventory`, `readings`, `engine`), the desired one (`draft`), and what follows from both.
    `mechanism` is the GPU injection method for new containers; None if the engine has none. `watch_faults` are the
    watches that currently fail, so that their data is outdated."""

    host: str
    taken_at: float
    inventory: GpuInventory
    readings: tuple[Reading, ...]
    memory: tuple[GpuMemory, ...]
    engine: EngineStatus
    services: tuple[Service, ...]
    draft: Draft
    findings: tuple[Finding, ...]
    apply: ApplyRecord | None = None
    operator: str = ""
    project: str = ""
    notes: tuple[Message, ...] = ()
    compose_note: str | None = None
    simulated: bool = False
    mechanism: MechanismName | None = None
    watch_faults: tuple[WatchFault, ...] = ()
