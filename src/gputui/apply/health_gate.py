"""Checks whether a container really came up, and on which GPUs it is."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from gputui.apply.engine_retry import EngineRetry
from gputui.apply.serving_probe import answers
from gputui.domain.container import Container
from gputui.domain.errors import EngineError, GputuiError
from gputui.domain.gpu import Gpu, GpuProcess, labels_by_uuid
from gputui.domain.message import Message, message
from gputui.domain.serving import HttpProbe
from gputui.domain.text import clean_log_line
from gputui.engine.protocol import Engine
from gputui.gpus.source import GpuSource

T = TypeVar("T")

POLL_S = 0.25
PROBE_S = 1.0
REPORT_EVERY_S = 5.0
NVML_LIMIT_S = 5.0


class Cancelled(EngineError):
    """The apply was cancelled."""


class NotWell(EngineError):
    """The container did not come up, or is not on its GPUs."""


class Abandoned(EngineError):
    """The check is no longer needed: another container of its unit failed."""


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """When a container counts as up: it has to run for `settle_s`; for `loading_s` a failing healthcheck is taken for a
    loading model; after `limit_s` it has failed. `probe`: where it answers."""

    settle_s: float
    limit_s: float
    loading_s: float = 0.0
    probe: HttpProbe | None = None


def within(limit_s: float, call: Callable[[], T]) -> T | None:
    """What the call returns, or None if it takes longer: a hanging driver must not block an apply."""
    result: list[T] = []
    thread = threading.Thread(target=lambda: result.append(call()), daemon=True)
    thread.start()
    thread.join(limit_s)
    return result[0] if result else None


def watch(
    engine: Engine,
    ref: str,
    limits: HealthLimits,
    *,
    retry: EngineRetry,
    report: Callable[[Message], None],
    abandoned: Callable[[], bool] = lambda: False,
    cancelled: Callable[[], str] = str,
) -> str | None:
    """Return once it is healthy, or has run for `settle_s` without failing and answers its probe, if it has one.

    Raises:
        NotWell: it exited, was restarted, became unhealthy, or took too long.
        Abandoned: the check is no longer needed.
        Cancelled: the apply was cancelled.
    """
    began = reported = time.monotonic()
    probed, answered = 0.0, False
    first: Container | None = None
    while True:
        container = retry.call(lambda: engine.inspect(ref))
        first = first or container
        waited = time.monotonic() - began
        fall = _failure(container, first, may_load=waited < limits.loading_s)
        if fall:
            raise NotWell(fall)
        _check_still_needed(abandoned, cancelled)
        if container.has_healthcheck:
            if container.health == "healthy":
                return "healthy"
        elif limits.probe is not None:
            if not answered and time.monotonic() - probed >= PROBE_S:
                probed = time.monotonic()
                answered = container.running and answers(container, limits.probe, is_local=engine.socket is not None)
            if answered and waited >= limits.settle_s:  # a program that dies after its first answer did not come up
                return f"it answers on port {limits.probe.port}"
            if not limits.probe.proven and waited > max(limits.loading_s, limits.settle_s):
                return f"it runs, but was not seen to answer on port {limits.probe.port} yet"
        elif container.running and waited >= limits.settle_s:
            return None
        if waited > limits.limit_s:
            raise NotWell(f"it was {container.health or container.state} for {waited:.0f} s")
        if time.monotonic() - reported >= REPORT_EVERY_S:
            reported = time.monotonic()
            state, line = container.health or container.state, _last_line(engine, ref)
            report(message("coming-up", state=state, seconds=f"{waited:.0f}", line=line))
        time.sleep(POLL_S)


def _check_still_needed(abandoned: Callable[[], bool], cancelled: Callable[[], str]) -> None:
    if abandoned():
        raise Abandoned("another of its unit failed")
    why = cancelled()
    if why:
        raise Cancelled(why)


def _last_line(engine: Engine, ref: str) -> str:
    """The last line of its log: a loading model reports its progress."""
    try:
        lines = engine.last_log(ref, 1)
    except GputuiError:
        return ""
    text = clean_log_line(lines[-1].split(b"\r")[-1])[:160] if lines else ""
    return f": {text}" if text else ""


def stay_up(engine: Engine, ref: str, seconds: float) -> None:
    """Return once the container has run for this long.

    Raises:
        NotWell: it exited.
    """
    until = time.monotonic() + seconds
    first: Container | None = None
    while True:
        container = engine.inspect(ref)
        first = first or container
        # Its healthcheck does not count: it is the container that was there before.
        fall = _failure(container, first, may_load=True)
        if fall:
            raise NotWell(fall)
        if time.monotonic() >= until:
            return
        time.sleep(POLL_S)


def _failure(container: Container, first: Container, *, may_load: bool) -> str | None:
    code = f"with code {container.exit_code}" if container.exit_code is not None else ""
    because = f": {container.error}" if container.error else ""
    if container.oom_killed:
        return "it ran out of memory (of the machine, not of a GPU) and was killed"
    if container.state in ("exited", "dead"):
        return f"it ended {code}{because}"
    # Under a restart policy a program that dies at once shows up as restarting, or briefly as running.
    if container.state == "restarting" or container.restart_count > first.restart_count:
        return f"it ended {code} and is restarted again and again{because}"
    if container.state == "removing":
        return "somebody removes it"
    if container.health == "unhealthy" and not may_load:
        return "its healthcheck says unhealthy"
    return None


def confirm_gpus(
    engine: Engine,
    source: GpuSource,
    gpus: tuple[Gpu, ...],
    ref: str,
    expected: tuple[str, ...],
    nodes: tuple[str, ...] | None,
) -> str:
    """What was observed of the container's GPUs, as a readable line. Device nodes decide; having no process yet is not
    a failure.

    Raises:
        NotWell: it has other device nodes than requested, or one of its processes is on another GPU.
    """
    labels = labels_by_uuid(gpus)
    expected_labels = ", ".join(labels.get(uuid, uuid) for uuid in expected) or "none"
    actual_nodes = engine.device_nodes(ref) if nodes is not None else None
    if nodes is not None and actual_nodes is not None and actual_nodes != set(nodes):
        inside = ", ".join(sorted(actual_nodes)) or "no GPU"
        raise NotWell(
            f"drift: it was to get GPU {expected_labels} ({', '.join(nodes) or 'no node'}); inside is {inside}"
        )
    lists = process_lists(source, gpus)
    # Listing a container's processes costs the engine a process of its own, and the kernel usually knows already.
    unknown = any(process.container_id is None for processes in lists.values() for process in processes or ())
    pids = frozenset(engine.pids(ref) or ()) if unknown else frozenset()

    def is_its(process: GpuProcess) -> bool:
        return process.pid in pids or process.container_id == ref

    on = [uuid for uuid, processes in lists.items() if any(is_its(process) for process in processes or ())]
    strays = [labels[uuid] for uuid in on if uuid not in expected]
    if strays:
        raise NotWell(f"drift: it was to get GPU {expected_labels}; a process of it runs on GPU {', '.join(strays)}")
    inside = (
        "device nodes cannot be seen"
        if actual_nodes is None
        else f"inside is {', '.join(sorted(actual_nodes)) or 'no GPU'}"
    )
    return f"GPU {expected_labels}: {inside}; {_gpu_use(lists, on, expected, labels)}"


def _gpu_use(
    lists: dict[str, tuple[GpuProcess, ...] | None], on: list[str], expected: tuple[str, ...], labels: dict[str, str]
) -> str:
    if on:
        return f"its process is on GPU {', '.join(labels[uuid] for uuid in on)}"
    if expected and all(lists.get(uuid) is None for uuid in expected):
        return "its processes cannot be seen"
    return "not using the GPU yet" if expected else "no process on a GPU"


def holders(source: GpuSource, gpus: tuple[Gpu, ...], container_id: str) -> tuple[tuple[str, int], ...] | None:
    """(GPU label, pid) of each process of a container that still holds a GPU; None if no process list can be read."""
    lists = process_lists(source, gpus)
    if all(processes is None for processes in lists.values()):
        return None
    labels = labels_by_uuid(gpus)
    return tuple(
        (labels[uuid], process.pid)
        for uuid, processes in lists.items()
        for process in processes or ()
        if process.container_id == container_id
    )


def process_lists(source: GpuSource, gpus: tuple[Gpu, ...]) -> dict[str, tuple[GpuProcess, ...] | None]:
    """The processes on each assignable GPU, None if they cannot be listed. A GPU that is partitioned into instances
    lists theirs, too."""
    assignable = [gpu for gpu in gpus if gpu.assignable]
    return {gpu.uuid: within(NVML_LIMIT_S, partial(source.processes, gpu)) for gpu in assignable}


_NO_SUCH_GPU = re.compile(r"unknown device|unresolvable CDI devices|device error|is lost", re.I)
"""What nvidia-container-cli and the CDI of Docker and Podman say about a missing GPU."""


def missing_gpus(text: str, uuids: tuple[str, ...], gpus: tuple[Gpu, ...], source: GpuSource) -> tuple[str, ...]:
    """Which of a container's GPUs are gone, judged by the engine's error at its start; none if it failed for another
    reason."""
    if not gpus:
        return ()  # which GPUs exist is unknown
    gpu_by_uuid = {gpu.uuid: gpu for gpu in gpus}
    lost = tuple(uuid for uuid in uuids if uuid not in gpu_by_uuid or _is_lost(gpu_by_uuid[uuid], source))
    if lost or not _NO_SUCH_GPU.search(text):
        return lost
    mentioned = tuple(uuid for uuid in uuids if uuid in text)
    return mentioned or uuids


def _is_lost(gpu: Gpu, source: GpuSource) -> bool:
    reading = within(NVML_LIMIT_S, partial(source.read, gpu))
    return reading is not None and reading.state == "lost"
