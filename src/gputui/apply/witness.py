"""Seeing whether a container really came up, and on which GPUs it is."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from gputui.containers.engine import Engine
from gputui.domain.container import Container
from gputui.domain.errors import EngineError, Unreachable
from gputui.domain.gpu import Gpu, GpuProcess
from gputui.gpus.source import GpuSource

T = TypeVar("T")

POLL_S = 0.25
NVML_LIMIT_S = 5.0
RETRY_S = 1.0
OUTAGE_LIMIT_S = 180.0
"""How long an engine may be away (a restart of the daemon) before an apply gives up waiting for it."""


class NotWell(EngineError):
    """The container did not come up, or is not on its GPUs."""


def within(limit_s: float, call: Callable[[], T]) -> T | None:
    """What the call returns, or None where it takes longer: a driver that hangs must not hold an apply."""
    result: list[T] = []
    thread = threading.Thread(target=lambda: result.append(call()), daemon=True)
    thread.start()
    thread.join(limit_s)
    return result[0] if result else None


def patiently(call: Callable[[], T]) -> T:
    """What the call returns, tried again while the engine does not answer. For calls that may be made twice.

    Raises:
        Unreachable: the engine stayed away for `OUTAGE_LIMIT_S`.
    """
    until = time.monotonic() + OUTAGE_LIMIT_S
    while True:
        try:
            return call()
        except Unreachable:
            if time.monotonic() > until:
                raise
            time.sleep(RETRY_S)


def watch(engine: Engine, ref: str, *, settle_s: float, health_limit_s: float, tell: Callable[[str], None]) -> None:
    """Return once the container is healthy, or, without a healthcheck, has run for `settle_s` without a fall.

    Raises:
        NotWell: it ended, was restarted, became unhealthy, or came to neither within `health_limit_s`.
    """
    began = told = time.monotonic()
    first: Container | None = None
    while True:
        container = patiently(lambda: engine.inspect(ref))
        first = first or container
        fall = _fall(container, first)
        if fall:
            raise NotWell(fall)
        waited = time.monotonic() - began
        healthy = container.health == "healthy"
        settled = not container.has_healthcheck and container.running and waited >= settle_s
        if healthy or settled:
            return
        if waited > health_limit_s:
            raise NotWell(f"it was {container.health or container.state} for {waited:.0f} s")
        if time.monotonic() - told >= 5:
            told = time.monotonic()
            tell(f"{container.health or container.state} for {waited:.0f} s")
        time.sleep(POLL_S)


def stay_up(engine: Engine, ref: str, seconds: float) -> None:
    """Return once the container was seen to run for so long.

    Raises:
        NotWell: it ended.
    """
    until = time.monotonic() + seconds
    first: Container | None = None
    while time.monotonic() < until:
        container = engine.inspect(ref)
        first = first or container
        fall = _fall(container, first)
        if fall:
            raise NotWell(fall)
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
    pids = frozenset(engine.pids(ref))
    lists = process_lists(source, gpus)
    on = [uuid for uuid, processes in lists.items() if any(process.pid in pids for process in processes or ())]
    strays = [labels[uuid] for uuid in on if uuid not in expected]
    if strays:
        raise NotWell(f"drift: it was to get GPU {wanted}; a process of it runs on GPU {', '.join(strays)}")
    inside = "device nodes cannot be seen" if seen is None else f"inside is {', '.join(sorted(seen)) or 'no GPU'}"
    return f"GPU {wanted}: {inside}; {_use(lists, on, expected, labels)}"


def _use(
    lists: dict[str, tuple[GpuProcess, ...] | None], on: list[str], expected: tuple[str, ...], labels: dict[str, str]
) -> str:
    if on:
        return f"its process is on GPU {', '.join(labels[uuid] for uuid in on)}"
    if expected and all(lists.get(uuid) is None for uuid in expected):
        return "its processes cannot be seen"
    return "not using the GPU yet" if expected else "no process on a GPU"


def holders(source: GpuSource, gpus: tuple[Gpu, ...], container_id: str) -> tuple[tuple[str, int], ...] | None:
    """(GPU label, pid) of what a container still holds; None where no process list can be read."""
    lists = process_lists(source, gpus)
    if lists and all(processes is None for processes in lists.values()):
        return None
    labels = {gpu.uuid: gpu.label for gpu in gpus}
    return tuple(
        (labels[uuid], process.pid)
        for uuid, processes in lists.items()
        for process in processes or ()
        if process.container_id == container_id
    )


def process_lists(source: GpuSource, gpus: tuple[Gpu, ...]) -> dict[str, tuple[GpuProcess, ...] | None]:
    """The processes on each GPU that can be given away: one that is cut into instances lists those of its instances
    too. None where they cannot be listed."""
    whole = [gpu for gpu in gpus if gpu.assignable]
    return {gpu.uuid: within(NVML_LIMIT_S, partial(source.processes, gpu)) for gpu in whole}
