"""The interface of a container engine: one call per method."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from gputui.domain.container import Container, ContainerSpec, EngineInfo, Layer
from gputui.domain.errors import GputuiError
from gputui.domain.log import LogWindow


class Stream(Protocol):
    """A continuous stream from the engine. `close`, from any thread, ends the iteration."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None:
        """End it."""
        ...


class Engine(Protocol):
    """One connection to a container engine. `ref` is a container's id or name.

    Every method may block, and raises `Unreachable` if the engine does not answer, `NotFound` if it does not know the
    named object, and `EngineError` if it refuses.
    """

    @property
    def socket(self) -> Path | None:
        """The Unix socket, if the engine is reached through one."""
        ...

    def info(self) -> EngineInfo:
        """Which engine this is."""
        ...

    def has_nvidia_driver(self) -> bool | None:
        """Whether it supports device requests for the driver `nvidia`; None if unknown. Creates a container that cannot
        start, and removes it."""
        ...

    def containers(self) -> tuple[Container, ...]:
        """All containers, running or not."""
        ...

    def inspect(self, ref: str) -> Container:
        """One container in its current state."""
        ...

    def spec(self, ref: str) -> ContainerSpec:
        """The spec to re-create the same container, with its volumes."""
        ...

    def create(self, spec: ContainerSpec) -> str:
        """Create a container; its id."""
        ...

    def connect(self, ref: str, network: str, endpoint: Mapping[str, Any]) -> None:
        """Connect a container to one more network."""
        ...

    def start(self, ref: str) -> None:
        """Start it; a successful call proves nothing about the program inside."""
        ...

    def stop(self, ref: str, timeout_s: int) -> None:
        """Stop it, by force after `timeout_s`; returns when it is stopped."""
        ...

    def restart(self, ref: str, timeout_s: int) -> None:
        """Stop and start it."""
        ...

    def pause(self, ref: str) -> None:
        """Pause its processes."""
        ...

    def unpause(self, ref: str) -> None:
        """Resume its processes."""
        ...

    def start_obstacles(self, ref: str) -> tuple[str, ...]:
        """The missing prerequisites of starting this container, one line each; empty if none can be seen from here."""
        ...

    def unlink(self, name: str, alias: str) -> None:
        """Remove the link of a container with this alias (`docker rm --link`)."""
        ...

    def rename(self, ref: str, name: str) -> None:
        """Rename it."""
        ...

    def remove(self, ref: str) -> None:
        """Remove a container by force; its volumes stay."""
        ...

    def set_restart_policy(self, ref: str, policy: Mapping[str, Any]) -> None:
        """Change the restart policy. Never call this for a running container: the engine may revoke its GPUs."""
        ...

    def networks_of(self, ref: str) -> frozenset[str]:
        """The networks that it is connected to."""
        ...

    def ensure_network(self, name: str, body: Mapping[str, Any]) -> None:
        """Create a network unless one with that name exists; `body` as in `POST /networks/create`."""
        ...

    def ensure_volume(self, name: str, body: Mapping[str, Any]) -> None:
        """Create a volume unless one with that name exists; `body` as in `POST /volumes/create`."""
        ...

    def layer(self, ref: str) -> Layer:
        """What it wrote outside its volumes. May be slow."""
        ...

    def images(self) -> tuple[str, ...]:
        """The ids of the existing images."""
        ...

    def image_names(self) -> tuple[str, ...]:
        """The names of the existing images."""
        ...

    def run_once(self, spec: ContainerSpec, limit_s: float) -> bytes:
        """Run a container to completion, remove it, and return its output."""
        ...

    def image_id(self, image: str) -> str | None:
        """The id of an image; None if it does not exist."""
        ...

    def image_volumes(self, image: str) -> frozenset[str]:
        """The mount points that an image declares as volumes; empty if the image does not exist."""
        ...

    def image_environment(self, image: str) -> Mapping[str, str] | None:
        """The variables that an image sets; None if it does not exist."""
        ...

    def commit_image(self, ref: str, image: str) -> None:
        """Save its file system as an image of this name. May be slow."""
        ...

    def remove_image(self, image: str) -> None:
        """Remove an image, if it still exists."""
        ...

    def device_nodes(self, ref: str) -> frozenset[str] | None:
        """The GPU device nodes inside a running container; None if unknown."""
        ...

    def driver_fault(self, ref: str) -> str | None:
        """The error of `nvidia-smi` inside a running container if it cannot use the driver; None if it can, or if
        that is unknown."""
        ...

    def pids(self, ref: str) -> tuple[int, ...] | None:
        """The host pids of a running container's processes; None if the engine cannot list them."""
        ...

    def last_log(self, ref: str, lines: int) -> tuple[bytes, ...]:
        """The last lines of its log."""
        ...

    def follow_log(self, ref: str, window: LogWindow) -> Stream:
        """Its log with timestamps, in chunks of frames as `engine.log_frames` parses them, until it ends or is
        closed."""
        ...

    def shell_command(self, ref: str) -> tuple[str, ...]:
        """The command line that opens a shell in a running container.

        Raises:
            Refusal: this machine has no suitable program.
        """
        ...

    def events(self) -> Stream:
        """The events of all containers, in chunks."""
        ...


def owners_of_pids(engine: Engine) -> dict[int, str]:
    """The container of each host pid that the engine knows."""
    owners: dict[int, str] = {}
    try:
        for container in engine.containers():
            if container.running:
                owners |= dict.fromkeys(engine.pids(container.id) or (), container.id)
    except GputuiError:
        return owners  # a container that was removed meanwhile owns nothing
    return owners
