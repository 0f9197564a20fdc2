"""A simulated server (GPUs, containers, other people's processes), and reading it from a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gputui.domain.errors import UsageError
from gputui.domain.gpu import Gpu
from gputui.domain.gpu_details import GpuDetails
from gputui.domain.plain_yaml import FAULTS, fault_text, load_yaml
from gputui.domain.text import clean
from gputui.state.file_io import packaged


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedGpu:
    """A GPU with the memory that its driver reserves, and its power limit."""

    gpu: Gpu
    reserved_mib: int
    power_limit_w: float
    details: GpuDetails | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedProcess:
    """A process on a GPU that does not belong to any service."""

    pid: int
    gpu: str
    memory_mib: int
    user: str
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedContainer:
    """A container that exists when the simulation starts. `memory_mib` is its memory on each GPU once loaded, `written`
    the sizes in bytes of the files that it wrote outside its volumes."""

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
    """A GPU that stops answering after `after_s` seconds, and comes back after another `for_s`."""

    gpu: str
    after_s: float
    for_s: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A simulated server."""

    name: str
    title: str
    host: str
    driver_version: str
    gpus: tuple[SimulatedGpu, ...]
    containers: tuple[SimulatedContainer, ...] = ()
    processes: tuple[SimulatedProcess, ...] = ()
    losses: tuple[SimulatedLoss, ...] = ()


DEFAULT = "h100-server"


def scenario_names() -> tuple[str, ...]:
    """The scenarios that come with gputui."""
    return tuple(sorted(path.stem for path in (packaged("configs") / "scenarios").glob("*.yaml")))


def read_scenario(name: str) -> Scenario:
    """The bundled scenario of that name, or the one in the file of that name.

    Raises:
        UsageError: it does not exist, or its file is invalid.
    """
    path = packaged("configs") / "scenarios" / f"{name}.yaml"
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
    if not path.is_file():
        raise UsageError(f"there is no scenario “{clean(name, 60)}”", f"scenarios: {', '.join(scenario_names())}")
    try:
        data: dict[str, Any] = load_yaml(path.read_text(encoding="utf-8"))
        data.setdefault("name", path.stem)
        return TypeAdapter(Scenario).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path.name}: {place}: {clean(first['msg'], 120)}", "fix the scenario") from None
    except (OSError, *FAULTS) as error:
        raise UsageError(f"{path.name}: not YAML: {clean(fault_text(error), 120)}", "correct the scenario") from None
