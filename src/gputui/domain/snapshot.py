"""Everything that is known at one moment."""

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
    """The engine, or why it cannot be reached and what to do about it; `pending`: it has not answered yet, nor failed
    to."""

    info: EngineInfo | None = None
    reason: str | None = None
    fix: str | None = None
    pending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What is seen (`inventory`, `readings`, `engine`), what is wanted (`draft`) and what follows from both.
    `mechanism` is how a new container would get its GPUs; None where the engine has no way. `watch_faults` say what
    cannot be watched now, so that what is shown of it is old."""

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
