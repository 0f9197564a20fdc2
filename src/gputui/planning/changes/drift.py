"""Where the requested and the actual GPUs of a container disagree."""

from collections.abc import Sequence

from gputui.domain.container import Container, Inside
from gputui.domain.errors import GputuiError
from gputui.domain.gpu import Gpu, labels_by_uuid
from gputui.planning.changes.container_view import container_view

LOST_ACCESS = "Failed to initialize NVML: Unknown Error"
"""What programs in a container print after `systemctl daemon-reload` on a host with the systemd cgroup driver: it
removes the devices that a hook added (NVIDIA Container Toolkit, "Troubleshooting"; its issue 48)."""


def drift(
    container: Container | None,
    requested: tuple[str, ...] | None,
    running_on: tuple[str, ...],
    gpus: Sequence[Gpu],
    inside: Inside | None,
) -> tuple[str, ...]:
    """In words. Device nodes decide; a process on another GPU is wrong; no process yet is not drift."""
    if container is None or requested is None:
        return ()
    strays = [uuid for uuid in running_on if uuid not in requested]
    labels = labels_by_uuid(gpus) if strays else {}
    problems = [f"a process of it runs on GPU {labels.get(uuid, uuid)}, which it was not given" for uuid in strays]
    if inside is not None and inside.nodes is not None:
        expected = None if container.sees_all_devices else _expected_nodes(requested, gpus)
        if expected is not None and inside.nodes != expected:
            present = ", ".join(sorted(inside.nodes)) or "no GPU"
            problems.append(f"inside is {present}, but it was given {', '.join(sorted(expected)) or 'none'}")
    if inside is not None and inside.driver_fault:
        why = ", as after `systemctl daemon-reload`" if LOST_ACCESS in inside.driver_fault else ""
        problems.append(f"it lost access to its GPUs{why}: {inside.driver_fault}")
    return tuple(problems)


def _expected_nodes(requested: Sequence[str], gpus: Sequence[Gpu]) -> frozenset[str] | None:
    try:
        return container_view(gpus, requested).expected_nodes
    except GputuiError:
        return None
