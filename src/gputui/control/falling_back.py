"""Another GPU for a service whose own was gone when it was to start."""

from collections.abc import Sequence
from dataclasses import dataclass

from gputui.domain.errors import GputuiError
from gputui.domain.event import ApplyRecord
from gputui.domain.gpu import Reading, labels_of
from gputui.domain.service import Fallback, Service
from gputui.domain.suggestion import SuggestedAssignment
from gputui.planning.suggestion import automatic


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """The GPUs that a service would get instead, and why, as a line to read."""

    service: Service
    assignment: SuggestedAssignment
    text: str


def replacements(
    record: ApplyRecord, services: Sequence[Service], readings: Sequence[Reading], policies: frozenset[Fallback]
) -> tuple[Replacement, ...]:
    """For each service of these policies whose GPU was missing the next best GPUs that fit; nothing for those that fit
    nowhere else."""
    found = []
    gpus = [reading.gpu for reading in readings]
    for name, missing in record.missing.items():
        service = next((one for one in services if one.was_called(name)), None)
        if service is None or service.fallback not in policies or not set(missing) & set(service.assigned):
            continue
        there = [reading for reading in readings if reading.gpu.uuid not in missing]
        try:
            assignment = automatic(service, services, there)
        except GputuiError:
            continue
        text = (
            f"GPU {labels_of(missing, gpus)} was gone when {name} was to start (apply {record.id}); "
            f"GPU {labels_of(assignment.gpus, gpus)} is the next best that fits"
        )
        found.append(Replacement(service=service, assignment=assignment, text=text))
    return tuple(found)
