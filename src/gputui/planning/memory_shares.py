"""Whose memory is on each GPU, and what a draft would make of it."""

from collections.abc import Sequence

from gputui.domain.gpu import GpuProcess, Reading
from gputui.domain.memory import GpuMemory, MemoryShare, ShareKind
from gputui.domain.service import Service, ServiceKey
from gputui.planning.needs.requirement import claim_by


def usable_mib(reading: Reading) -> int | None:
    """What processes can have of a GPU: its total without what driver and firmware keep."""
    if reading.memory_total_mib is None:
        return None
    return reading.memory_total_mib - (reading.memory_reserved_mib or 0)


def need_of(service: Service) -> int | None:
    """MiB that a service will take on each of its GPUs: its budget where it has one, else its claim."""
    return service.budget_mib if service.budget_mib is not None else service.requirement.claim_mib


def need_on(service: Service, reading: Reading, free_mib: int | None = None) -> int | None:
    """MiB that a service will take on this GPU; `free_mib` is what is free there before it starts."""
    if service.budget_mib is not None:
        return service.budget_mib
    needs = service.requirement
    same_size = needs.gpu_total_mib is not None and needs.gpu_total_mib == reading.gpu.memory_total_mib
    # What it was seen to hold on such a GPU; of what takes what is free, only here, where it holds it.
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
    # It takes what is free; only what it needs at least can be too much.
    return max(claim, needs.minimum_mib) if needs.minimum_mib is not None else claim or None


def _part(service: Service, reading: Reading, largest: int | None) -> int | None:
    """Its part on this GPU, where the parts are not equal; the claim is that of the largest."""
    split = service.requirement.split
    if largest is None or not split or reading.gpu.uuid not in service.assigned:
        return largest
    return int(largest * split[service.assigned.index(reading.gpu.uuid)] / max(split))


def needs_on(
    reading: Reading, services: Sequence[Service], free_for_services_mib: int | None
) -> dict[ServiceKey, int | None]:
    """What each service that is to run on this GPU will take there.

    One that takes a fraction of what is free is counted last, for it makes do with what the others leave.
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
    """And has not done so yet: what it holds, it holds."""
    if reading.gpu.uuid in service.running_on:
        return False
    return service.requirement.rule is not None and service.requirement.rule.of != "total"


def memory_of_all(readings: Sequence[Reading], services: Sequence[Service]) -> tuple[GpuMemory, ...]:
    """How each GPU's memory is shared."""
    by_gpu: dict[str, list[Service]] = {}
    for service in services:
        for uuid in {*service.assigned, *service.running_on}:
            by_gpu.setdefault(uuid, []).append(service)
    return tuple(memory_of(reading, by_gpu.get(reading.gpu.uuid, ())) for reading in readings)


def memory_of(reading: Reading, services: Sequence[Service]) -> GpuMemory:
    """How one GPU's memory is shared; `services` that neither are to run on it nor do may be left out.

    A service's own present memory counts as free for itself. What is used beyond all services' processes is foreign,
    be it other people's processes or memory that no listed process accounts for.
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
    """Its container runs and was given this GPU, be it that it has taken nothing yet."""
    return service.running and uuid in (*service.running_on, *(service.requested or ()))


def held_memory(reading: Reading, services: Sequence[Service]) -> dict[ServiceKey, int]:
    """MiB that each service holds on a GPU.

    Where NVML does not tell how much a service's process holds, what no other process accounts for is taken to be
    its own, up to what it needs.
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
    """By container (None: no container), what its processes hold; None where one of them does not tell."""
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
"""How many foreign processes are named; the rest is summed up."""


def foreign_shares(reading: Reading, services: Sequence[Service], foreign_mib: int) -> list[MemoryShare]:
    """Who holds the foreign memory, the largest first: `bob: python 81231`. What no listed process accounts for is
    said to be so."""
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
