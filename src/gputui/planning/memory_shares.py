"""Who holds the memory of each GPU, and what a draft would change."""

from collections.abc import Sequence

from gputui.domain.gpu import GpuProcess, Reading
from gputui.domain.memory import GpuMemory, MemoryShare, ShareKind
from gputui.domain.service import Service, ServiceKey
from gputui.planning.needs.requirement import claim_by


def usable_mib(reading: Reading) -> int | None:
    """What processes can use of a GPU: its total minus what driver and firmware reserve."""
    if reading.memory_total_mib is None:
        return None
    return reading.memory_total_mib - (reading.memory_reserved_mib or 0)


def need_of(service: Service) -> int | None:
    """MiB that a service will take on each of its GPUs: its budget if it has one, else its claim."""
    return service.budget_mib if service.budget_mib is not None else service.requirement.claim_mib


def need_on(service: Service, reading: Reading, free_mib: int | None = None) -> int | None:
    """MiB that a service will take on this GPU; `free_mib` is what is free there before it starts."""
    if service.budget_mib is not None:
        return service.budget_mib
    needs = service.requirement
    same_size = needs.gpu_total_mib is not None and needs.gpu_total_mib == reading.gpu.memory_total_mib
    # Observed on a GPU of this size; if it sizes itself by free memory, only on the GPU it was observed on.
    is_observed = same_size and (
        needs.rule is None or needs.rule.of == "total" or reading.gpu.uuid in service.running_on
    )
    if needs.rule is None or is_observed:
        return _part(service, reading, needs.claim_mib)
    claim = claim_by(needs.rule, usable_mib(reading), free_mib)
    if claim is None:
        return needs.claim_mib
    if needs.rule.of == "total":
        return claim
    # It adapts to the free memory, so only its minimum can exceed it.
    return max(claim, needs.minimum_mib) if needs.minimum_mib is not None else claim or None


def _part(service: Service, reading: Reading, largest: int | None) -> int | None:
    """The service's share on this GPU if its shares are unequal; the claim is that of the largest share."""
    split = service.requirement.split
    if largest is None or not split or reading.gpu.uuid not in service.assigned:
        return largest
    return int(largest * split[service.assigned.index(reading.gpu.uuid)] / max(split))


def needs_on(
    reading: Reading, services: Sequence[Service], free_for_services_mib: int | None
) -> dict[ServiceKey, int | None]:
    """What each service assigned to this GPU will take there.

    A service that takes a fraction of the free memory counts last, since it takes what the others leave.
    """
    residents = [service for service in services if service.enabled and reading.gpu.uuid in service.assigned]
    needs: dict[ServiceKey, int | None] = {}
    for service in sorted(residents, key=lambda resident: _takes_what_is_free(resident, reading)):
        free = None
        if free_for_services_mib is not None:
            free = max(0, free_for_services_mib - sum(need or 0 for need in needs.values()))
        needs[service.key] = need_on(service, reading, free)
    return needs


def _takes_what_is_free(service: Service, reading: Reading) -> bool:
    """Whether the service sizes itself by free memory and has not done so yet: once running, its size is fixed."""
    if reading.gpu.uuid in service.running_on:
        return False
    return service.requirement.rule is not None and service.requirement.rule.of != "total"


def memory_of_all(readings: Sequence[Reading], services: Sequence[Service]) -> tuple[GpuMemory, ...]:
    """How the memory of each GPU is shared."""
    by_gpu: dict[str, list[Service]] = {}
    for service in services:
        for uuid in {*service.assigned, *service.running_on}:
            by_gpu.setdefault(uuid, []).append(service)
    return tuple(memory_of(reading, by_gpu.get(reading.gpu.uuid, ())) for reading in readings)


def memory_of(reading: Reading, services: Sequence[Service]) -> GpuMemory:
    """How the memory of one GPU is shared; `services` neither assigned to it nor running on it may be omitted.

    Memory that a service already holds counts as free for itself. Memory used beyond all services' processes is
    foreign: other people's processes, or memory that no listed process accounts for.
    """
    usable = usable_mib(reading)
    uuid = reading.gpu.uuid
    shares: list[MemoryShare] = []
    holding = held_memory(reading, services)
    foreign = None
    if reading.memory_used_mib is not None:
        foreign = max(0, reading.memory_used_mib - sum(holding.values()))
    needs = needs_on(reading, services, None if usable is None or foreign is None else usable - foreign)
    planned: list[int | None] = []
    for service in services:
        held_mib = holding.get(service.key)
        if service.key in needs:
            need = needs[service.key]
            planned.append(need if need is not None else held_mib)
            if held_mib is None:
                kind: ShareKind = "expected" if _is_there(service, uuid) else "planned"
                shares.append(MemoryShare(kind=kind, name=service.name, mib=need))
                continue
            shares.append(MemoryShare(kind="service", name=service.name, mib=held_mib))
            if need is not None and need > held_mib:
                shares.append(MemoryShare(kind="expected", name=service.name, mib=need - held_mib))
        elif held_mib is not None:
            shares.append(MemoryShare(kind="freed", name=service.name, mib=held_mib))
    if foreign is not None:
        shares += foreign_shares(reading, services, foreign)
    free_after = None
    known_needs = [need for need in planned if need is not None]
    if usable is not None and foreign is not None:
        free_after = usable - foreign - sum(known_needs)
    over = free_after is not None and free_after < 0 and bool(planned)
    complete = len(known_needs) == len(planned)
    return GpuMemory(
        uuid=uuid,
        usable_mib=usable,
        shares=tuple(shares),
        free_after_mib=free_after if complete or over else None,
        over=over,
    )


def _is_there(service: Service, uuid: str) -> bool:
    """Whether its container is running with this GPU, even if it has not allocated anything yet."""
    return service.running and uuid in (*service.running_on, *(service.requested or ()))


def held_memory(reading: Reading, services: Sequence[Service]) -> dict[ServiceKey, int]:
    """MiB that each service holds on a GPU.

    If NVML does not report how much a service's process holds, it gets the memory that no other process accounts for,
    up to its need.
    """
    by_container = _held_by_container(reading)
    held_by_key: dict[ServiceKey, int] = {}
    unmeasured: list[Service] = []
    if by_container:
        for service in services:
            identity = service.container.id if service.container else None
            if identity is None or identity not in by_container:
                continue
            container_mib = by_container.pop(identity)
            if container_mib is None:
                unmeasured.append(service)
            else:
                held_by_key[service.key] = container_mib
    strangers = sum(used_mib or 0 for used_mib in by_container.values())
    unaccounted_mib = max(0, (reading.memory_used_mib or 0) - sum(held_by_key.values()) - strangers)
    for service in unmeasured:
        need = need_of(service)
        held_by_key[service.key] = unaccounted_mib if need is None else min(unaccounted_mib, need)
        unaccounted_mib -= held_by_key[service.key]
    return held_by_key


def _held_by_container(reading: Reading) -> dict[str | None, int | None]:
    """MiB that processes hold, by container (None: no container); None if one of them does not report it."""
    totals: dict[str | None, int | None] = {}
    for process in reading.processes or ():
        previous = totals.get(process.container_id, 0)
        if process.container_id is None:
            totals[None] = (previous or 0) + (process.memory_mib or 0)
        else:
            total = None if previous is None or process.memory_mib is None else previous + process.memory_mib
            totals[process.container_id] = total
    return totals


NAMED_STRANGERS = 3
"""How many foreign processes are named; the others are summed up."""


def foreign_shares(reading: Reading, services: Sequence[Service], foreign_mib: int) -> list[MemoryShare]:
    """Who holds the foreign memory, largest first: `bob: python 81231`. Memory that no listed process accounts for is
    labelled as such."""
    container_ids = {service.container.id for service in services if service.container}
    strangers = [process for process in reading.processes or () if process.container_id not in container_ids]
    strangers.sort(key=lambda process: -(process.memory_mib or 0))
    shares = [_share(process) for process in strangers if process.memory_mib]
    named_shares, remainder = shares[:NAMED_STRANGERS], shares[NAMED_STRANGERS:]
    if remainder:
        remainder_mib = sum(share.mib or 0 for share in remainder)
        named_shares.append(MemoryShare(kind="foreign", name=f"{len(remainder)} more", mib=remainder_mib))
    gap = foreign_mib - sum(share.mib or 0 for share in named_shares)
    if gap > 0:
        unknown = [process for process in strangers if not process.memory_mib]
        name = _share(unknown[0]).name if len(unknown) == 1 else "no listed process"
        named_shares.append(MemoryShare(kind="foreign", name=name, mib=gap))
    return named_shares


def _share(process: GpuProcess) -> MemoryShare:
    words = (process.command or "").split()
    program = words[0].rsplit("/", 1)[-1] if words else "process"
    name = f"{process.user or 'someone'}: {program} {process.pid}"
    return MemoryShare(kind="foreign", name=name, mib=process.memory_mib)
