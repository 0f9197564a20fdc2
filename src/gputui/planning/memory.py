"""Whose memory is on each GPU, and what a draft would make of it."""

from collections.abc import Sequence

from gputui.domain.gpu import GpuProcess, Reading
from gputui.domain.memory import GpuMemory, MemoryShare
from gputui.domain.service import Service, ServiceKey
from gputui.planning.given_gpus import memory_on


def need_of(service: Service) -> int | None:
    """MiB that a service will take on each of its GPUs: its budget where it has one, else its claim."""
    return service.budget_mib if service.budget_mib is not None else service.requirement.claim_mib


def memory_of(reading: Reading, services: Sequence[Service]) -> GpuMemory:
    """How one GPU's memory is shared.

    A service's own present memory counts as free for itself. What is used beyond all services' processes is foreign,
    be it other people's processes or memory that no listed process accounts for.
    """
    usable = reading.memory_total_mib
    if usable is not None:
        usable -= reading.memory_reserved_mib or 0
    uuid = reading.gpu.uuid
    shares: list[MemoryShare] = []
    holding = held_memory(reading, services)
    held_by_services = sum(holding.values())
    planned: list[int | None] = []
    for service in services:
        held = holding.get(service.key)
        wanted = service.enabled and uuid in service.assigned
        need = need_of(service)
        if wanted:
            planned.append(need if need is not None else held)
        if wanted and held is not None:
            shares.append(MemoryShare(kind="service", name=service.name, mib=held))
            if need is not None and need > held:
                shares.append(MemoryShare(kind="planned", name=service.name, mib=need - held))
        elif wanted:
            shares.append(MemoryShare(kind="planned", name=service.name, mib=need))
        elif held is not None:
            shares.append(MemoryShare(kind="freed", name=service.name, mib=held))
    foreign = None
    if reading.memory_used_mib is not None:
        foreign = max(0, reading.memory_used_mib - held_by_services)
        shares += foreign_shares(reading, services, foreign)
    free_after = None
    known = [need for need in planned if need is not None]
    if usable is not None and foreign is not None:
        free_after = usable - foreign - sum(known)
    over = free_after is not None and free_after < 0 and bool(planned)
    complete = len(known) == len(planned)
    return GpuMemory(
        uuid=uuid,
        usable_mib=usable,
        shares=tuple(shares),
        free_after_mib=free_after if complete or over else None,
        over=over,
    )


def held_memory(reading: Reading, services: Sequence[Service]) -> dict[ServiceKey, int]:
    """MiB that each service holds on a GPU.

    Where NVML does not tell how much a service's process holds, what no other process accounts for is taken to be
    its own, up to what it needs.
    """
    held: dict[ServiceKey, int] = {}
    untold: list[Service] = []
    for service in services:
        own = [one for one in reading.processes or () if service.container and one.container_id == service.container.id]
        known = memory_on(service.container, reading) if service.container else None
        if known is not None:
            held[service.key] = known
        elif own:
            untold.append(service)
    containers = {service.container.id for service in services if service.container}
    strangers = sum(one.memory_mib or 0 for one in reading.processes or () if one.container_id not in containers)
    left = max(0, (reading.memory_used_mib or 0) - sum(held.values()) - strangers)
    for service in untold:
        need = need_of(service)
        held[service.key] = left if need is None else min(left, need)
        left -= held[service.key]
    return held


NAMED_STRANGERS = 3
"""How many foreign processes are named; the rest is summed up."""


def foreign_shares(reading: Reading, services: Sequence[Service], foreign_mib: int) -> list[MemoryShare]:
    """Who holds the foreign memory, the largest first: `bob: python 81231`. What no listed process accounts for is
    said to be so."""
    own = {service.container.id for service in services if service.container}
    strangers = [process for process in reading.processes or () if process.container_id not in own]
    strangers.sort(key=lambda process: -(process.memory_mib or 0))
    shares = [_share(process) for process in strangers if process.memory_mib]
    named, rest = shares[:NAMED_STRANGERS], shares[NAMED_STRANGERS:]
    if rest:
        more = sum(share.mib or 0 for share in rest)
        named.append(MemoryShare(kind="foreign", name=f"{len(rest)} more", mib=more))
    gap = foreign_mib - sum(share.mib or 0 for share in named)
    if gap > 0:
        unknown = [process for process in strangers if not process.memory_mib]
        name = _share(unknown[0]).name if len(unknown) == 1 else "no listed process"
        named.append(MemoryShare(kind="foreign", name=name, mib=gap))
    return named


def _share(process: GpuProcess) -> MemoryShare:
    words = (process.command or "").split()
    program = words[0].rsplit("/", 1)[-1] if words else "process"
    name = f"{process.user or 'someone'}: {program} {process.pid}"
    return MemoryShare(kind="foreign", name=name, mib=process.memory_mib)
