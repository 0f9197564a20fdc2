"""The server as a placement problem: the headroom on each GPU, and what each service would need there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gputui.domain.gpu import Reading
from gputui.domain.service import Service, ServiceKey
from gputui.domain.suggestion import SuggestedAssignment, Unplaced
from gputui.domain.units import gib
from gputui.planning.backends.registry import named
from gputui.planning.changes.draft_edit import needs_adoption
from gputui.planning.memory_shares import held_memory, need_on, usable_mib
from gputui.planning.needs.dtype import cannot_run
from gputui.planning.placement.problem import Demand, PlacementGpu, Problem, canonical


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The GPUs, and the services that may move.

    `foreign` is, by UUID, the MiB that belong to no service. `stuck` are services about which too little is known,
    `stays` unmanaged ones.
    """

    readings: tuple[Reading, ...]
    gpus: tuple[PlacementGpu, ...]
    foreign: Mapping[str, int]
    movable: tuple[Service, ...]
    stuck: tuple[Unplaced, ...]
    stays: tuple[SuggestedAssignment, ...]


def server_of(
    services: Sequence[Service], readings: Sequence[Reading], reserve_mib: int, placed: Sequence[Service]
) -> Server:
    """The problem of placing the services `placed` while all others stay."""
    usable = [
        reading
        for reading in readings
        if reading.state in ("ok", "stale")
        and reading.gpu.assignable
        and usable_mib(reading) is not None
        and reading.memory_used_mib is not None
    ]
    movable, stuck = [], []
    for service in placed:
        if _size_is_unknown(service) or all(_need(service, reading, usable_mib(reading)) is None for reading in usable):
            reason = _why_unknown(service)
            stuck.append(Unplaced(service=service.key, name=service.name, reason=reason, stays=bool(service.assigned)))
        else:
            movable.append(service)
    movable_keys = {service.key for service in movable}
    gpus, foreign = [], {}
    for reading in usable:
        held_by_key = held_memory(reading, services)
        uuid = reading.gpu.uuid
        foreign[uuid] = max(0, (reading.memory_used_mib or 0) - sum(held_by_key.values()))
        reserved = sum(
            _keeps(service, reading, held_by_key.get(service.key, 0))
            for service in services
            if service.key not in movable_keys
        )
        total = usable_mib(reading) or 0
        gpus.append(
            PlacementGpu(
                uuid=uuid,
                headroom_mib=total - foreign[uuid] - reserved - reserve_mib,
                total_mib=total,
                used_mib=foreign[uuid] + reserved,
                kind=uuid
                if reading.gpu.mig_index is not None
                else f"{reading.gpu.name} {reading.gpu.memory_total_mib}",
                island=reading.gpu.island,
                speed=reading.gpu.speed,
                order=reading.gpu.pci_order,
            )
        )
    return Server(
        readings=tuple(usable),
        gpus=tuple(gpus),
        foreign=foreign,
        movable=tuple(movable),
        stuck=tuple(stuck),
        stays=tuple(
            present_assignment(service)
            for service in services
            if service.enabled and needs_adoption(service) and service not in placed
        ),
    )


def _keeps(service: Service, reading: Reading, held_mib: int) -> int:
    """MiB that a service not being placed keeps on a GPU: what the draft leaves it if it is adopted; what it holds if
    it is unmanaged."""
    need = need_on(service, reading) if service.enabled and reading.gpu.uuid in service.assigned else 0
    if service.adopted and need is not None:
        return need
    return max(held_mib, need or 0)


def present_assignment(service: Service) -> SuggestedAssignment:
    """The present assignment of a service."""
    return SuggestedAssignment(
        service=service.key, name=service.name, gpus=service.assigned, budget_mib=service.budget_mib
    )


def count_of(service: Service) -> int:
    """The number of GPUs for a service: by its flags, else as many as it has."""
    return service.serving.world or max(1, len(service.assigned))


def _need(service: Service, reading: Reading, headroom_mib: int | None = None) -> int | None:
    """MiB that a service would take on this GPU; None if it cannot run there, or nothing is known.

    If it takes a fraction of the total, that must cover its minimum. If it takes a fraction of the free memory, it
    counts with that of the whole `headroom_mib`, so that it does no harm whenever it starts.
    """
    runs_here = reading.gpu.uuid in service.running_on
    if not runs_here and cannot_run(service, reading.gpu) is not None:
        return None
    if reading.gpu.mig_index is not None and count_of(service) > 1:
        return None
    needs = service.requirement
    need = need_on(service, reading, headroom_mib)
    if service.budget_mib is not None or needs.rule is None or need is None:
        return need
    if needs.minimum_mib is None:
        # A fraction of a smaller GPU is less, which does not mean that its model fits there.
        smallest = service.smallest_gpu_mib
        too_small = smallest is not None and (reading.memory_total_mib or 0) < smallest
        return None if too_small else need
    return None if need < needs.minimum_mib else need


def _size_is_unknown(service: Service) -> bool:
    """Whether neither its command nor its assignment tells how many GPUs it uses."""
    return service.serving.world is None and service.serving.tensor is None and not service.assigned


def _why_unknown(service: Service) -> str:
    if _size_is_unknown(service):
        return "how many GPUs it uses cannot be determined from its command: assign it some once"
    if service.requirement.claim_mib is None:
        return "what it needs is not known: declare it as x-gputui.vram, or run it once"
    return f"no GPU here can run it: it needs {gib(service.requirement.minimum_mib)} GiB"


def problem_of(server: Server, budgets: Mapping[ServiceKey, int]) -> Problem:
    """The problem of placing the movable services, with these VRAM budgets."""
    place_of = {gpu.uuid: place for place, gpu in enumerate(server.gpus)}
    demands = []
    for service in server.movable:
        budgeted = replace(service, budget_mib=budgets.get(service.key, service.budget_mib))
        current = tuple(place_of[uuid] for uuid in service.assigned if uuid in place_of)
        demands.append(
            Demand(
                name=str(service.key),
                count=count_of(service),
                needs_mib=tuple(
                    _need(budgeted, reading, max(0, gpu.headroom_mib))
                    for reading, gpu in zip(server.readings, server.gpus, strict=True)
                ),
                group=service.serving.group,
                even=named(service.backend).refuses_uneven_memory and service.serving.group,
                priority=service.priority,
                protected=service.isolate,
                current=current if len(current) == len(service.assigned) else (),
            )
        )
    return canonical(server.gpus, demands)
