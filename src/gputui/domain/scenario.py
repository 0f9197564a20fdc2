"""A simulated server: its GPUs, its containers, and other people's processes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gputui.domain.gpu import Gpu
from gputui.domain.gpu_details import GpuDetails


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedGpu:
    """A GPU with what its driver keeps of the memory, and its power limit."""

    gpu: Gpu
    reserved_mib: int
    power_limit_w: float
    details: GpuDetails | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedProcess:
    """Somebody's process on a GPU, outside any service."""

    pid: int
    gpu: str
    memory_mib: int
    user: str
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedContainer:
    """A container that exists when the simulation starts. `memory_mib` is what it takes on each GPU once loaded,
    `written` the bytes of files that it wrote outside its volumes."""

    name: str
    image: str
    command: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    memory_mib: int = 0
    load_s: float = 4.0
    utilization_percent: int = 60
    shm_mib: int = 64
    running: bool = True
    healthcheck: bool = False
    fails: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    log: tuple[str, ...] = ()
    written: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedLoss:
    """A GPU that stops answering `after_s` seconds, and comes back after another `for_s`."""

    gpu: str
    after_s: float
    for_s: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A whole simulated server."""

    name: str
    title: str
    host: str
    driver_version: str
    gpus: tuple[SimulatedGpu, ...]
    containers: tuple[SimulatedContainer, ...] = ()
    processes: tuple[SimulatedProcess, ...] = ()
    losses: tuple[SimulatedLoss, ...] = ()
