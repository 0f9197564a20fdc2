"""What each GPU would have left with a service on it."""

from collections.abc import Sequence
from dataclasses import replace

from gputui.domain.gpu import Reading
from gputui.domain.memory import GpuHeadroom
from gputui.domain.service import Service, ServiceKey
from gputui.planning.memory_shares import memory_of


def gpu_headroom(
    keys: Sequence[ServiceKey], services: Sequence[Service], readings: Sequence[Reading]
) -> tuple[GpuHeadroom, ...]:
    """Every assignable GPU, with what is free on it once everything assigned has started, these services included.

    Each GPU is considered separately: how a service would split itself over several is not guessed.
    """
    chosen = [service for service in services if service.key in keys]
    neighbours = [service for service in services if service.key not in keys]
    headroom = []
    for reading in readings:
        gpu = reading.gpu
        if not gpu.assignable or not chosen:
            continue
        memory = memory_of(reading, [*neighbours, *(_placed(service, gpu.uuid) for service in chosen)])
        left_mib = memory.free_after_mib
        fits = None if left_mib is None or reading.state != "ok" else left_mib >= 0
        headroom.append(GpuHeadroom(uuid=gpu.uuid, left_mib=left_mib, fits=fits, state=reading.state))
    return tuple(headroom)


def _placed(service: Service, uuid: str) -> Service:
    on_it = service.assigned if uuid in service.assigned else (*service.assigned, uuid)
    return replace(service, assigned=on_it, enabled=True)
