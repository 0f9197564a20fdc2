"""A container as the engine describes it, the spec that makes one, and its image."""

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
"""A token of the apply that made the container: only what has it may be taken away again."""
LABEL_FILE = "io.gputui.compose-hash"
"""Compose's hash of the service in its own files, without gputui's override, when the container was made."""
LABEL_PROBE = "io.gputui.probe"
"""On a container that only exists to find something out; it is no service."""
LABEL_ORIGINAL = "io.gputui.original"
"""What budget and edits changed, as it was before."""

_PASSING = re.compile(r"\.(new|old)-[0-9a-f]{12}$")


def is_passing(name: str) -> bool:
    """Whether this is the name of a container that only lives while a service is recreated."""
    return _PASSING.search(name) is not None


def lasting_name(name: str) -> str:
    """The name of the service's container, without the suffix that one has while the service is recreated."""
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
        """A request for GPUs."""
        return asks_for_gpus(self.driver, self.capabilities, self.device_ids)


def asks_for_gpus(driver: str, capabilities: Iterable[Iterable[str]], device_ids: Iterable[str]) -> bool:
    """Whether a device request is one for NVIDIA's GPUs: by its driver, by a capability (both `gpu` and `nvidia` select
    NVIDIA's driver in Docker, daemon/nvidia_linux.go), or by a CDI name."""
    if driver not in ("", "nvidia", "cdi"):
        return False  # another vendor's
    by_capability = any(name in ("gpu", "nvidia") for group in capabilities for name in group)
    return driver == "nvidia" or by_capability or any(name.startswith("nvidia.com/") for name in device_ids)


LIVING = ("running", "restarting", "paused")


def value_mark(value: str) -> str:
    """A mark by which two values of a variable are told apart, and from which neither is known."""
    return format(zlib.crc32(_SALT + value.encode("utf-8", "surrogatepass")), "08x")


_SALT = os.urandom(16)


def variable_marks(lines: object) -> dict[str, str]:
    """The marks of the variables in a list of `NAME=value`."""
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
    """What a container wrote outside its volumes, in bytes: all of it, and the `largest` changed paths, largest first.

    None: it cannot be told. A recreate loses it, unless it is kept as an image.
    """

    size_bytes: int | None
    largest: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What was seen inside a running container: the device nodes of GPUs (None: it cannot be seen), and what its
    `nvidia-smi` says where it cannot use the driver."""

    nodes: frozenset[str] | None = None
    driver_fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container, with what gputui needs of it; the whole of it is the engine's raw inspect data.

    `shares_with` are the containers whose network, IPC, pids or volumes it uses.
    `unedited` is the launch without the budget and the changed arguments that gputui gave it.
    `device_nodes` are GPUs' nodes that it was given one by one (`--device`), or that Podman put in for a CDI name.
    `addresses` are its own on its networks, or the host's where it uses that.
    `links` are (container, alias) of `--link`, which the engine keeps by the container and not by its name.
    `variables` are marks of its environment by name, which tell whether two values are the same and not what they are.
    `stop_signal` and `stop_timeout_s`: what it asks to be stopped with, where it does not leave that to the engine.
    `is_last_seen`: the engine does not answer now, so that this is how it was when it did.
    `gpu_environment` holds the variables of `GPU_VARIABLES` only, so that no secret travels with a snapshot.
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
        """The engine counts it as running; `restarting` is not."""
        return self.state == "running"

    @property
    def uses_host_network(self) -> bool:
        """Its ports are the host's."""
        return self.network_mode == "host"

    @property
    def lives(self) -> bool:
        """It runs, is held still, or comes back by itself: nobody stopped it."""
        return self.state in LIVING

    @property
    def run(self) -> str:
        """Its id and when it started: with each start it is given its devices anew."""
        return f"{self.id} {self.started_at}"

    @property
    def gpu_request(self) -> DeviceRequest | None:
        """The request for GPUs that counts, if it made one: for each the daemon appends a variable, and the hook heeds
        the last one. CDI requests are carried out one by one, so that all their devices count."""
        asking = [request for request in self.device_requests if request.asks_for_gpus]
        if len(asking) > 1 and all(request.driver == "cdi" for request in asking):
            return replace(asking[0], device_ids=tuple(name for request in asking for name in request.device_ids))
        return asking[-1] if asking else None


def links_to(container: Container, containers: Iterable[Container]) -> tuple[tuple[str, str], ...]:
    """The links of others to a container, as (container, alias)."""
    return tuple((peer.name, alias) for peer in containers for name, alias in peer.links if name == container.name)


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
    capabilities: Capabilities = field(default_factory=Capabilities)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The names of the variables that an image sets, and what it says in NVIDIA_VISIBLE_DEVICES, if anything."""

    variables: frozenset[str]
    visible_devices: str | None = None
