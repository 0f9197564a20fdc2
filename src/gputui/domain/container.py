"""A container as the engine describes it, and the spec that makes one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Health = Literal["starting", "healthy", "unhealthy"]

GPU_VARIABLES = ("NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")

LABEL_GPUS = "io.gputui.gpus"
LABEL_ORDER = "io.gputui.order"
LABEL_REVISION = "io.gputui.revision"
LABEL_OPERATOR = "io.gputui.operator"
LABEL_BUDGET = "io.gputui.budget-mib"
LABEL_EDITS = "io.gputui.edits"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRequest:
    """A request for devices as in the Engine API (`HostConfig.DeviceRequests`); `count` -1 is all."""

    driver: str = ""
    count: int = 0
    device_ids: tuple[str, ...] = ()
    capabilities: tuple[tuple[str, ...], ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def asks_for_gpus(self) -> bool:
        """A request for GPUs, be it by capability or by a CDI name."""
        by_capability = any("gpu" in group for group in self.capabilities)
        return by_capability or any(name.startswith("nvidia.com/") for name in self.device_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container, with what gputui needs of it; the whole of it is the engine's raw inspect data.

    `gpu_environment` holds the variables of `GPU_VARIABLES` only, so that no secret travels with a snapshot.
    """

    id: str
    name: str
    image: str
    created_at: str = ""
    command: tuple[str, ...] = ()
    state: str = "created"
    health: Health | None = None
    exit_code: int | None = None
    error: str = ""
    restart_count: int = 0
    started_at: str | None = None
    pid: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    gpu_environment: Mapping[str, str] = field(default_factory=dict)
    device_requests: tuple[DeviceRequest, ...] = ()
    runtime: str = ""
    sees_all_devices: bool = False
    auto_remove: bool = False
    has_healthcheck: bool = False

    @property
    def running(self) -> bool:
        """The engine counts it as running; `restarting` is not."""
        return self.state == "running"

    @property
    def gpu_request(self) -> DeviceRequest | None:
        """The first request for GPUs, if it made one."""
        return next((request for request in self.device_requests if request.asks_for_gpus), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """What `POST /containers/create` takes (`body`), and the endpoints to connect before the start (`networks`).

    The raw body is kept because no wrapper can express all of it (a healthcheck's StartInterval, Annotations...).
    """

    name: str
    body: Mapping[str, Any]
    networks: Mapping[str, Any] = field(default_factory=dict)

    def named(self, name: str) -> "ContainerSpec":
        """The same under another name."""
        return replace(self, name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """The engine behind the socket."""

    id: str
    name: str
    version: str
    api_version: str
    hostname: str
