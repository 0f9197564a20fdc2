"""Short ways to make values for tests."""

from typing import Any

from gputui.domain.container import Container, DeviceRequest
from gputui.domain.gpu import Gpu, GpuProcess, Reading
from gputui.domain.message import Message
from gputui.domain.service import Requirement, Service, ServiceKey


def gpu(index: int, *, total: int = 81920, **values: Any) -> Gpu:
    made = {
        "uuid": f"GPU-{index:08d}-0000",
        "index": index,
        "minor": index,
        "name": "NVIDIA H100 80GB HBM3",
        "pci_bus_id": f"00000000:{index + 16:02X}:00.0",
        "memory_total_mib": total,
    }
    return Gpu(**{**made, **values})


def reading(of: Gpu, *processes: GpuProcess, used: int | None = None, reserved: int = 0) -> Reading:
    total = of.memory_total_mib or 0
    used = sum(process.memory_mib or 0 for process in processes) if used is None else used
    return Reading(
        gpu=of, taken_at=1000.0, memory_total_mib=total, memory_used_mib=used, memory_reserved_mib=reserved,
        memory_free_mib=total - used - reserved, utilization_percent=0, processes=processes,
    )  # fmt: skip


def process(
    pid: int, mib: int | None, *, container: str | None = None, user: str = "bob", command: str = "python train.py"
) -> GpuProcess:
    return GpuProcess(pid=pid, memory_mib=mib, container_id=container, user=user, command=command)


def container(name: str, *gpus: Gpu, state: str = "running", **values: Any) -> Container:
    request = DeviceRequest(device_ids=tuple(one.uuid for one in gpus), capabilities=(("gpu",),))
    made = {
        "id": name.ljust(64, "0"),
        "name": name,
        "image": "image:1",
        "state": state,
        "device_requests": (request,) if gpus else (),
    }
    return Container(**{**made, **values})


def service(name: str, *gpus: Gpu, need: int | None = None, **values: Any) -> Service:
    given = tuple(one.uuid for one in gpus)
    made = {
        "key": ServiceKey("host", "", name),
        "origin": "found",
        "adopted": True,
        "backend": "generic",
        "model": None,
        "image": "image:1",
        "enabled": True,
        "assigned": given,
        "requested": given,
        "running_on": (),
        "requirement": Requirement(minimum_mib=need, claim_mib=need, source="declared" if need else "unknown"),
        "container": container(name, *gpus),
    }
    return Service(**{**made, **values})


def words(text: str) -> Message:
    """A message of which only the words matter."""
    return Message.of_text(text)
