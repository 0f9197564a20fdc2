"""A container as the engine describes it, the spec to create one, and its image."""

import os
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from gputui.domain.injection import Capabilities
from gputui.domain.launch import Launch, variables_in
from gputui.domain.text import clean, mapping, sequence

Health = Literal["starting", "healthy", "unhealthy"]

GPU_VARIABLES = ("NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")

LABEL_GPUS = "io.gputui.gpus"
LABEL_ORDER = "io.gputui.order"
LABEL_REVISION = "io.gputui.revision"
LABEL_OPERATOR = "io.gputui.operator"
LABEL_BUDGET = "io.gputui.budget-mib"
LABEL_EDITS = "io.gputui.edits"
LABEL_APPLY = "io.gputui.apply"
"""The token of the apply that created the container: only containers with it may be removed again."""
LABEL_FILE = "io.gputui.compose-hash"
"""Compose's config hash of the service, without gputui's override, at the time the container was created."""
LABEL_PROBE = "io.gputui.probe"
"""Marks a temporary probe container, which is not a service."""
LABEL_ORIGINAL = "io.gputui.original"
"""The original values of what budget and edits changed."""

_PASSING = re.compile(r"\.(new|old)-[0-9a-f]{12}$")


def is_passing(name: str) -> bool:
    """Whether this is the name of a temporary container, used while a service is re-created."""
    return _PASSING.search(name) is not None


def lasting_name(name: str) -> str:
    """The permanent name of a container, without the suffix used while its service is re-created."""
    return _PASSING.sub("", name)


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
        """Whether it is a request for GPUs."""
        return asks_for_gpus(self.driver, self.capabilities, self.device_ids)


def asks_for_gpus(driver: str, capabilities: Iterable[Iterable[str]], device_ids: Iterable[str]) -> bool:
    """Whether a device request is for NVIDIA GPUs: by its driver, by a capability (both `gpu` and `nvidia` select
    NVIDIA's driver in Docker, daemon/nvidia_linux.go), or by a CDI name."""
    if driver not in ("", "nvidia", "cdi"):
        return False  # another vendor's
    by_capability = any(name in ("gpu", "nvidia") for group in capabilities for name in group)
    return driver == "nvidia" or by_capability or any(name.startswith("nvidia.com/") for name in device_ids)


LIVING = ("running", "restarting", "paused")


def value_mark(value: str) -> str:
    """A salted checksum to compare two values of a variable without revealing them."""
    return format(zlib.crc32(_SALT + value.encode("utf-8", "surrogatepass")), "08x")


_SALT = os.urandom(16)


def variable_marks(lines: object) -> dict[str, str]:
    """The marks of the variables in a list of `NAME=value` lines."""
    return {clean(name, 200): value_mark(value) for name, value in variables_in(lines).items()}


def sees_all_devices(host: Mapping[str, Any]) -> bool:
    """Whether a container with this `HostConfig` sees every device of the host: privileged, or /dev mounted."""
    binds = any(str(bind).split(":")[:2] == ["/dev", "/dev"] for bind in sequence(host.get("Binds")))
    mounts = any(
        mount.get("Type") == "bind" and mount.get("Source") == mount.get("Target") == "/dev"
        for mount in map(mapping, sequence(host.get("Mounts")))
    )
    return bool(host.get("Privileged")) or binds or mounts


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A port of a running container as it can be reached on the host."""

    container_port: int
    protocol: str
    host_ip: str
    host_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """The data that a container wrote outside its volumes: the total size, and the `largest` changed paths, in bytes.

    None: unknown. Re-creating the container discards it, unless it is saved as an image.
    """

    size_bytes: int | None
    largest: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """The result of a device probe in a running container: its GPU device nodes (None: unknown), and the error of its
    `nvidia-smi` if it cannot use the driver."""

    nodes: frozenset[str] | None = None
    driver_fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """The part of a container's inspect data that gputui needs.

    `shares_with` are the containers whose network, IPC, pids or volumes it uses.
    `unedited` is the launch without the budget and the edited arguments from gputui.
    `device_nodes` are GPU nodes that were passed individually (`--device`), or that Podman added for a CDI name.
    `addresses` are its own on its networks, or the host's if it uses the host network.
    `links` are (container, alias) of `--link`, which the engine stores by container and not by name.
    `variables` are marks of its environment by name, which compare values without revealing them.
    `stop_signal` and `stop_timeout_s` are None or empty if it uses the engine's defaults.
    `is_last_seen`: the engine does not answer, so this is the last known state.
    `gpu_environment` only holds the variables of `GPU_VARIABLES`, so that a snapshot contains no secrets.
    """

    id: str
    name: str
    image: str
    created_at: str = ""
    launch: Launch = field(default_factory=Launch)
    unedited: Launch | None = None
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
    device_nodes: tuple[str, ...] = ()
    runtime: str = ""
    sees_all_devices: bool = False
    privileged: bool = False
    auto_remove: bool = False
    oom_killed: bool = False
    published: tuple["PublishedPort", ...] = ()
    addresses: tuple[str, ...] = ()
    network_mode: str = ""
    shares_with: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    has_healthcheck: bool = False
    stop_signal: str = ""
    stop_timeout_s: int | None = None
    is_last_seen: bool = False

    @property
    def command(self) -> tuple[str, ...]:
        """Entrypoint and command, with secrets masked."""
        return tuple(clean(word) for word in self.launch.words)

    @property
    def running(self) -> bool:
        """Whether the engine reports it as running; `restarting` does not count."""
        return self.state == "running"

    @property
    def uses_host_network(self) -> bool:
        """Whether it uses the host network, so that its ports are the host's."""
        return self.network_mode == "host"

    @property
    def lives(self) -> bool:
        """Whether it runs, is paused, or restarts by itself, that is, nobody stopped it."""
        return self.state in LIVING

    @property
    def run(self) -> str:
        """Identifies one run by container id and start time: each start injects the devices again."""
        return f"{self.id} {self.started_at}"

    @property
    def gpu_request(self) -> DeviceRequest | None:
        """The effective GPU request, if any: the daemon appends a variable for each request, and the hook applies the
        last one. CDI requests are applied individually, so all their devices count."""
        gpu_requests = [request for request in self.device_requests if request.asks_for_gpus]
        if len(gpu_requests) > 1 and all(request.driver == "cdi" for request in gpu_requests):
            return replace(
                gpu_requests[0], device_ids=tuple(name for request in gpu_requests for name in request.device_ids)
            )
        return gpu_requests[-1] if gpu_requests else None


def links_to(container: Container, containers: Iterable[Container]) -> tuple[tuple[str, str], ...]:
    """The links of other containers to this one, as (container, alias)."""
    return tuple((peer.name, alias) for peer in containers for name, alias in peer.links if name == container.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """The `body` of `POST /containers/create`, and the endpoints to connect before the start (`networks`).

    The body is raw because no wrapper can express all of it (a healthcheck's StartInterval, Annotations...).
    """

    name: str
    body: Mapping[str, Any]
    networks: Mapping[str, Any] = field(default_factory=dict)

    def named(self, name: str) -> "ContainerSpec":
        """A copy with another name."""
        return replace(self, name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """The engine behind the socket."""

    id: str
    name: str
    version: str
    api_version: str
    hostname: str
    capabilities: Capabilities = field(default_factory=Capabilities)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The names of the variables that an image sets, and its value of NVIDIA_VISIBLE_DEVICES, if any."""

    variables: frozenset[str]
    visible_devices: str | None = None
