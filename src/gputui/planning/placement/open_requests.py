"""Requests for a number of GPUs that name none: which GPUs they come to, while nobody has chosen."""

from collections.abc import Sequence
from dataclasses import replace

from gputui.domain.errors import UsageError
from gputui.domain.gpu import Reading
from gputui.domain.service import Service
from gputui.planning.memory_shares import memory_of

Tried = tuple[object, ...]
"""All that decides whether a request finds a place: while it is the same, it is of no use to look again."""


def chosen_gpus(
    service: Service, services: Sequence[Service], readings: Sequence[Reading], before: tuple[str, ...] | None
) -> tuple[str, ...] | None:
    """As many GPUs as its file asks for: those that a strategy would give it while all others stay where they are.
    Those chosen `before` stay while it fits on them, so that nothing moves about by itself. None where it fits
    nowhere, or that is not known."""
    from gputui.planning.placement.suggestion import automatic  # noqa: PLC0415 - slow to import, and seldom needed

    if before is not None and _fits(replace(service, assigned=before), services, readings):
        return before
    # The file says how many it gets, whatever its engine makes of them.
    asking = replace(service, serving=replace(service.serving, world=service.any_gpus))
    try:
        found = automatic(asking, [asking if one.key == service.key else one for one in services], readings).gpus
    except UsageError:
        return None
    return found if len(found) == service.any_gpus else None


def tried(service: Service, services: Sequence[Service], readings: Sequence[Reading]) -> Tried:
    """What is compared; memory in GiB, for what is free changes by a few MiB from one reading to the next."""
    free = tuple(
        None
        if one.memory_total_mib is None or one.memory_used_mib is None
        else (one.memory_total_mib - one.memory_used_mib) // 1024
        for one in readings
    )
    others = tuple((one.key, one.assigned, one.enabled, one.requirement.claim_mib) for one in services)
    return (service.any_gpus, service.requirement, others, free)


def _fits(service: Service, services: Sequence[Service], readings: Sequence[Reading]) -> bool:
    together = [service, *(one for one in services if one.key != service.key)]
    by_uuid = {one.gpu.uuid: one for one in readings}
    for uuid in service.assigned:
        reading = by_uuid.get(uuid)
        if reading is None or reading.state != "ok" or memory_of(reading, together).over:
            return False
    return True
