"""Another GPU for a service whose own was gone at its start."""

from collections.abc import Sequence
from dataclasses import dataclass

from gputui.domain.errors import GputuiError
from gputui.domain.event import ApplyRecord
from gputui.domain.gpu import Reading, labels_of
from gputui.domain.service import Fallback, Service
from gputui.domain.suggestion import SuggestedAssignment
from gputui.planning.placement.proposal import automatic


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """The GPUs that a service would get instead, and why, as a readable line."""

    service: Service
    assignment: SuggestedAssignment
    text: str


def replacements(
    record: ApplyRecord | None,
    services: Sequence[Service],
    readings: Sequence[Reading],
    policies: frozenset[Fallback],
) -> tuple[Replacement, ...]:
    """The next best GPUs that fit, for each service with these policies whose GPU is gone or was at the last apply;
    services that fit nowhere else are left out."""
    fitting = []
    gpus = [reading.gpu for reading in readings]
    there_are = {gpu.uuid for gpu in gpus}
    for service in services:
        missing_gpus = record.missing.items() if record else ()
        recorded = next((gone for name, gone in missing_gpus if service.was_called(name)), None)
        missing = set(recorded or ())
        missing |= {uuid for uuid in service.assigned if uuid not in there_are} if there_are else set()
        if service.fallback not in policies or not service.enabled or not missing & set(service.assigned):
            continue
        name = service.name
        remaining = [reading for reading in readings if reading.gpu.uuid not in missing]
        try:
            assignment = automatic(service, services, remaining)
        except GputuiError:
            continue
        gone = labels_of(tuple(sorted(missing & set(service.assigned))), gpus)
        when = (
            f" was gone when {name} was to start (apply {record.id})" if record and recorded is not None else " is gone"
        )
        text = f"GPU {gone}{when}; GPU {labels_of(assignment.gpus, gpus)} is the next best that fits"
        fitting.append(Replacement(service=service, assignment=assignment, text=text))
    return tuple(fitting)
