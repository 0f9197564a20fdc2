"""Where a service would fit."""

from collections.abc import Sequence

from gputui.domain.errors import UsageError
from gputui.domain.gpu import Reading
from gputui.domain.service import Service
from gputui.domain.units import gib
from gputui.planning.memory import memory_of, need_of


def best_gpus(service: Service, services: Sequence[Service], readings: Sequence[Reading]) -> tuple[str, ...]:
    """As many GPUs as the service has now (one, if none): those with the most memory left by everything else.

    Objective: maximise free memory after it, lowest PCI address first among equals.

    Raises:
        UsageError: it fits on fewer GPUs than it needs.
    """
    others = [one for one in services if one.key != service.key]
    count = max(1, len(service.assigned))
    need = need_of(service) or 0
    room: list[tuple[int, Reading]] = []
    for reading in readings:
        free = memory_of(reading, others).free_after_mib
        if reading.state != "ok" or not reading.gpu.assignable or free is None:
            continue
        # What the service itself holds here is its own to use; without it in the list it counted as foreign.
        own = sum(
            process.memory_mib or 0
            for process in reading.processes or ()
            if service.container and process.container_id == service.container.id
        )
        room.append((free + own, reading))
    fitting = [one for one in room if one[0] >= need]
    if len(fitting) < count:
        most = max((one[0] for one in room), default=None)
        raise UsageError(
            f"{service.name} needs {gib(need)} GiB on {count} GPU{'s' if count > 1 else ''}; "
            f"only {len(fitting)} of {len(readings)} have that, the most free is {gib(most)} GiB",
            "name the GPUs yourself, or free memory first",
        )
    fitting.sort(key=lambda one: (-one[0], one[1].gpu.pci_order))
    chosen = sorted(fitting[:count], key=lambda one: one[1].gpu.pci_order)
    return tuple(reading.gpu.uuid for _, reading in chosen)
