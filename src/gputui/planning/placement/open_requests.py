"""Open requests, for a number of GPUs without names: which GPUs they get while nobody has chosen."""

from collections.abc import Sequence
from dataclasses import replace

from gputui.domain.errors import UsageError
from gputui.domain.gpu import Reading
from gputui.domain.service import Service
from gputui.planning.memory_shares import memory_of

Tried = tuple[object, ...]
"""Everything that decides whether a request finds a place: while it is the same, there is no point in trying again."""


def chosen_gpus(
    service: Service, services: Sequence[Service], readings: Sequence[Reading], previous: tuple[str, ...] | None
) -> tuple[str, ...] | None:
    """As many GPUs as its file requests: those a strategy would assign while all others stay. The `previous` choice is
    kept while it fits, so that nothing moves by itself. None if it fits nowhere, or that is unknown."""
    from gputui.planning.placement.proposal import automatic  # noqa: PLC0415 - slow to import, and rarely needed

    if previous is not None and _fits(replace(service, assigned=previous), services, readings):
        return previous
    # The file decides how many it gets, however its engine uses them.
    request = replace(service, serving=replace(service.serving, world=service.any_gpus))
    try:
        gpus = automatic(
            request, [request if candidate.key == service.key else candidate for candidate in services], readings
        ).gpus
    except UsageError:
        return None
    return gpus if len(gpus) == service.any_gpus else None


def tried(service: Service, services: Sequence[Service], readings: Sequence[Reading]) -> Tried:
    """The values to compare; memory in GiB, because free memory changes by a few MiB from one reading to the next."""
    free = tuple(
        None
        if reading.memory_total_mib is None or reading.memory_used_mib is None
        else (reading.memory_total_mib - reading.memory_used_mib) // 1024
        for reading in readings
    )
    summaries = tuple((peer.key, peer.assigned, peer.enabled, peer.requirement.claim_mib) for peer in services)
    return (service.any_gpus, service.requirement, summaries, free)


def _fits(service: Service, services: Sequence[Service], readings: Sequence[Reading]) -> bool:
    together = [service, *(peer for peer in services if peer.key != service.key)]
    by_uuid = {reading.gpu.uuid: reading for reading in readings}
    for uuid in service.assigned:
        reading = by_uuid.get(uuid)
        if reading is None or reading.state != "ok" or memory_of(reading, together).over:
            return False
    return True
