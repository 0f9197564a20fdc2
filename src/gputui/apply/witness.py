"""Seeing whether a container really came up, and on which GPUs it is."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from gputui.containers.engine import Engine
from gputui.domain.container import Container
from gputui.domain.errors import EngineError
from gputui.domain.gpu import Gpu, GpuProcess
from gputui.gpus.source import GpuSource

T = TypeVar("T")

POLL_S = 0.25
NVML_LIMIT_S = 5.0


class NotWell(EngineError):
    """The container did not come up, or is not on its GPUs."""


def within(limit_s: float, call: Callable[[], T]) -> T | None:
    """What the call returns, or None where it takes longer: a driver that hangs must not hold an apply."""
    result: list[T] = []
    thread = threading.Thread(target=lambda: result.append(call()), daemon=True)
    thread.start()
    thread.join(limit_s)
    return result[0] if result else None


def watch(engine: Engine, ref: str, *, settle_s: float, health_limit_s: float, tell: Callable[[str], None]) -> None:
    """Return once the container is healthy, or, without a healthcheck, has run for `settle_s` without a fall.

    Raises:
        NotWell: it ended, was restarted, became unhealthy, or was not healthy within `health_limit_s`.
    """
    began = time.monotonic()
    told = began
    first: Container | None = None
    while True:
        container = engine.inspect(ref)
        first = first or container
        fall = _fall(container, first)
        if fall:
            raise NotWell(fall)
        waited = time.monotonic() - began
        if container.has_healthcheck:
            if container.health == "healthy":
                return
            if waited > health_limit_s:
                raise NotWell(f"it was not healthy after {waited:.0f} s")
        elif container.running and waited >= settle_s:
            return
        if time.monotonic() - told >= 5:
            told = time.monotonic()
            tell(f"{container.health or container.state} for {waited:.0f} s")
        time.sleep(POLL_S)


def _fall(container: Container, first: Container) -> str | None:
    code = f"with code {container.exit_code}" if container.exit_code is not None else ""
    because = f": {container.error}" if container.error else ""
    if container.state in ("exited", "dead"):
        return f"it ended {code}{because}"
    # Under a restart policy a program that dies at once is seen as restarting, or as running for a moment.
    if container.state == "restarting" or container.restart_count > first.restart_count:
        return f"it ended {code} and is restarted again and again{because}"
    if container.health == "unhealthy":
        return "its healthcheck says unhealthy"
    return None


def confirm_gpus(
    engine: Engine,
    source: GpuSource,
    gpus: tuple[Gpu, ...],
    ref: str,
    *,
    expected: tuple[str, ...],
    nodes: frozenset[str] | None,
) -> str:
    """What was seen of the container's GPUs, as a line to read. Device nodes decide; no process yet is no failure.

    Raises:
        NotWell: other device nodes than those asked for are inside, or a process of it is on another GPU.
    """
    labels = {gpu.uuid: gpu.label for gpu in gpus}
    wanted = ", ".join(labels.get(uuid, uuid) for uuid in expected) or "none"
    seen = engine.device_nodes(ref) if nodes is not None else None
    if nodes is not None and seen is not None and seen != nodes:
        inside = ", ".join(sorted(seen)) or "no GPU"
        raise NotWell(
            f"drift: it was to get GPU {wanted} ({', '.join(sorted(nodes)) or 'no node'}); inside is {inside}"
        )
    on = gpus_of(source, gpus, frozenset(engine.pids(ref)))
    strays = [labels[uuid] for uuid in on if uuid not in expected]
    if strays:
        raise NotWell(f"drift: it was to get GPU {wanted}; a process of it runs on GPU {', '.join(strays)}")
    nodes_text = "device nodes cannot be seen" if seen is None else f"inside is {', '.join(sorted(seen)) or 'no GPU'}"
    used = ", ".join(labels[uuid] for uuid in on)
    return f"GPU {wanted}: {nodes_text}; " + (f"its process is on GPU {used}" if used else "not using the GPU yet")


def gpus_of(source: GpuSource, gpus: tuple[Gpu, ...], pids: frozenset[int]) -> tuple[str, ...]:
    """The GPUs on which any of these host pids was seen."""
    return tuple(gpu.uuid for gpu in gpus if any(process.pid in pids for process in _processes(source, gpu)))


def holders(source: GpuSource, gpus: tuple[Gpu, ...], container_id: str) -> tuple[tuple[str, int], ...]:
    """(GPU label, pid) of what a container still holds."""
    return tuple(
        (gpu.label, process.pid)
        for gpu in gpus
        for process in _processes(source, gpu)
        if process.container_id == container_id
    )


def _processes(source: GpuSource, gpu: Gpu) -> tuple[GpuProcess, ...]:
    return within(NVML_LIMIT_S, lambda: source.processes(gpu)) or ()
