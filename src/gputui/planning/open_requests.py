"""Requests for a number of GPUs that name none: which GPUs they come to, while nobody has chosen."""

from collections.abc import Sequence
from dataclasses import replace

from gputui.domain.errors import UsageError
from gputui.domain.gpu import Reading
from gputui.domain.service import Service
from gputui.planning.memory import memory_of


def chosen_gpus(
    service: Service, services: Sequence[Service], readings: Sequence[Reading], before: tuple[str, ...] | None
) -> tuple[str, ...] | None:
    """The GPUs that a strategy would give it while all others stay where they are; those chosen `before`, as long as it
    still fits on them, so that nothing moves about by itself. None where it fits nowhere, or that is not known."""
    from gputui.planning.suggestion import automatic  # noqa: PLC0415 - slow to import, and seldom needed

    if before is not None and _fits(replace(service, assigned=before), services, readings):
        return before
    try:
        return automatic(service, services, readings).gpus
    except UsageError:
        return None


def free_gib(readings: Sequence[Reading]) -> tuple[int | None, ...]:
    """About how much is free of each GPU: as long as this is the same it is of no use to look again."""
    return tuple(
        None
        if one.memory_total_mib is None or one.memory_used_mib is None
        else (one.memory_total_mib - one.memory_used_mib) // 1024
        for one in readings
    )


def _fits(service: Service, services: Sequence[Service], readings: Sequence[Reading]) -> bool:
    together = [service, *(one for one in services if one.key != service.key)]
    by_uuid = {one.gpu.uuid: one for one in readings}
    for uuid in service.assigned:
        reading = by_uuid.get(uuid)
        if reading is None or reading.state != "ok" or memory_of(reading, together).over:
            return False
    return True
