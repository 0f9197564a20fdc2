"""What gputui asks of a container engine: one call a method."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from gputui.domain.container import Container, ContainerSpec, EngineInfo, Layer
from gputui.domain.errors import GputuiError
from gputui.domain.log import LogWindow


class Stream(Protocol):
    """Something that the engine keeps sending. `close`, from any thread, ends the iteration."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None:
        """End it."""
        ...


class Engine(Protocol):
    """One connection to a container engine. `ref` is a container's id or name.

    Every method may block, and raises `Unreachable` where the engine does not answer, `NotFound` where it does not
    know what is named, and `EngineError` where it refuses.
    """

    @property
    def socket(self) -> Path | None:
        """The Unix socket, where it is one."""
        ...

    def info(self) -> EngineInfo:
        """Which engine this is."""
        ...

    def has_nvidia_driver(self) -> bool | None:
        """Whether it carries out device requests for the driver `nvidia`; None where that cannot be told. It makes a
        container that cannot start, and removes it."""
        ...

    def containers(self) -> tuple[Container, ...]:
        """All containers, running or not."""
        ...

    def inspect(self, ref: str) -> Container:
        """One container as it is now."""
        ...

    def spec(self, ref: str) -> ContainerSpec:
        """The spec that makes the same container again, with the volumes it has."""
        ...

    def create(self, spec: ContainerSpec) -> str:
        """Create a container; its id."""
        ...

    def connect(self, ref: str, network: str, endpoint: Mapping[str, Any]) -> None:
        """Connect a container to one more network."""
        ...

    def start(self, ref: str) -> None:
        """Start it; that the call returns proves nothing about the program inside."""
        ...

    def stop(self, ref: str, timeout_s: int) -> None:
        """Stop it, by force after `timeout_s`; returns when it is stopped."""
        ...

    def restart(self, ref: str, timeout_s: int) -> None:
        """Stop and start it."""
        ...

    def pause(self, ref: str) -> None:
        """Hold its processes still."""
        ...

    def unpause(self, ref: str) -> None:
        """Let them go on."""
        ...

    def start_obstacles(self, ref: str) -> tuple[str, ...]:
        """What a start of this container needs and is not there, a line each; none where it could be started, as far
        as can be seen from here."""
        ...

    def unlink(self, name: str, alias: str) -> None:
        """Take the link that a container has under this alias away (`docker rm --link`)."""
        ...

    def rename(self, ref: str, name: str) -> None:
        """Give it another name."""
        ...

    def remove(self, ref: str) -> None:
        """Remove a container, by force; its volumes stay."""
        ...

    def set_restart_policy(self, ref: str, policy: Mapping[str, Any]) -> None:
        """Change the restart policy. Never of a running container: the engine may take its GPUs away."""
        ...

    def networks_of(self, ref: str) -> frozenset[str]:
        """The networks that it is connected to."""
        ...

    def ensure_network(self, name: str, body: Mapping[str, Any]) -> None:
        """Make a network unless there is one of that name; `body` as in `POST /networks/create`."""
        ...

    def ensure_volume(self, name: str, body: Mapping[str, Any]) -> None:
        """Make a volume unless there is one of that name; `body` as in `POST /volumes/create`."""
        ...

    def layer(self, ref: str) -> Layer:
        """What it wrote outside its volumes. May take time."""
        ...

    def images(self) -> tuple[str, ...]:
        """The ids of the images that are there."""
        ...

    def image_names(self) -> tuple[str, ...]:
        """The names of the images that are there."""
        ...

    def run_once(self, spec: ContainerSpec, limit_s: float) -> bytes:
        """Run a container to its end and remove it; what it wrote."""
        ...

    def image_id(self, image: str) -> str | None:
        """The id of an image; None where it is not there."""
        ...

    def image_volumes(self, image: str) -> frozenset[str]:
        """The places in a container for which an image asks a volume; none where it is not there."""
        ...

    def image_environment(self, image: str) -> Mapping[str, str] | None:
        """The variables that an image sets; None where it is not there."""
        ...

    def commit_image(self, ref: str, image: str) -> None:
        """Keep its file system as an image of this name. May take time."""
        ...

    def remove_image(self, image: str) -> None:
        """Remove an image, unless it is gone already."""
        ...

    def device_nodes(self, ref: str) -> frozenset[str] | None:
        """The GPU device nodes inside a running container; None where that cannot be seen."""
        ...

    def driver_fault(self, ref: str) -> str | None:
        """What `nvidia-smi` inside a running container says where it cannot use the driver; None where it can, or where
        that cannot be asked."""
        ...

    def pids(self, ref: str) -> tuple[int, ...] | None:
        """The host pids of a running container's processes; None where the engine cannot list them."""
        ...

    def last_log(self, ref: str, lines: int) -> tuple[bytes, ...]:
        """The last lines that it wrote."""
        ...

    def follow_log(self, ref: str, window: LogWindow) -> Stream:
        """Its log with the time of each line, in chunks of frames as `containers.log_frames` reads them, until it ends
        or is closed."""
        ...

    def shell_command(self, ref: str) -> tuple[str, ...]:
        """The command line that opens a shell in a running container.

        Raises:
            Refusal: no program on this machine can.
        """
        ...

    def events(self) -> Stream:
        """A chunk for each thing that happens to any container."""
        ...


def owners_of_pids(engine: Engine) -> dict[int, str]:
    """The containers of all host pids that the engine knows of."""
    owners: dict[int, str] = {}
    try:
        for container in engine.containers():
            if container.running:
                owners |= dict.fromkeys(engine.pids(container.id) or (), container.id)
    except GputuiError:
        return owners  # what went away meanwhile holds nothing
    return owners
