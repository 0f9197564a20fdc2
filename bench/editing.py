"""Editing one assignment on a server with 16 GPUs and 200 services: the time until all findings are known again.

    python bench/editing.py [edits]

Beside it, in the same run, what a plain copy of the same values costs (a JSON round trip of the snapshot's services).
"""

import json
import sys
import time
from dataclasses import asdict, replace
from statistics import median

from gputui.domain.assignment import Assignment, Assignments, Draft
from gputui.domain.container import Container, DeviceRequest
from gputui.domain.gpu import Gpu, GpuProcess, Reading
from gputui.domain.launch import Launch
from gputui.domain.service import ServiceKey
from gputui.planning.findings.find_all import find_all
from gputui.planning.memory_shares import memory_of
from gputui.planning.services import World, join_services

GPUS, SERVICES = 16, 200


def _world() -> World:
    gpus = [
        Gpu(
            uuid=f"GPU-{index:08}", index=index, name="NVIDIA H100", pci_bus_id=f"00000000:{index + 16:02X}:00.0",
            memory_total_mib=81559, compute_capability="9.0", island=f"NVLink {index // 8}",
        )
        for index in range(GPUS)
    ]  # fmt: skip
    containers, processes = [], {gpu.uuid: [] for gpu in gpus}  # type: ignore[var-annotated]
    for number in range(SERVICES):
        gpu = gpus[number % GPUS]
        words = (
            "vllm",
            "serve",
            f"org/model-{number % 9 + 1}B",
            "--gpu-memory-utilization",
            "0.07",
            "--port",
            str(number),
        )
        request = DeviceRequest(device_ids=(gpu.uuid,), capabilities=(("gpu",),))
        identity = f"{number:064}"
        containers.append(
            Container(
                id=identity, name=f"service-{number}", image="vllm/vllm-openai:v0.11.0", state="running",
                launch=Launch(words=words, ports=(("", 8000 + number, "tcp"),)), device_requests=(request,),
            )
        )  # fmt: skip
        processes[gpu.uuid].append(GpuProcess(pid=number + 1, memory_mib=5000, container_id=identity))
    readings = [
        Reading(
            gpu=gpu, taken_at=0.0, memory_total_mib=81559, memory_reserved_mib=551,
            memory_used_mib=5000 * len(processes[gpu.uuid]) + 700, memory_free_mib=10_000,
            processes=tuple(processes[gpu.uuid]),
        )
        for gpu in gpus
    ]  # fmt: skip
    return World(host="bench", gpus=gpus, readings=readings, containers=containers)


def _recompute(world: World, draft: Draft) -> int:
    services = join_services(world, draft.current).services
    memory = [memory_of(reading, services) for reading in world.readings]
    return len(find_all(services, world.gpus, world.readings, memory))


def main() -> None:
    """Edits, one after the other."""
    edits = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    world = _world()
    items = tuple(
        Assignment(
            key=ServiceKey("bench", "", f"service-{number}"), gpus=(world.gpus[number % GPUS].uuid,), adopted=True
        )
        for number in range(SERVICES)
    )
    saved = Assignments(revision=1, items=tuple(sorted(items, key=lambda item: item.key)))
    draft = Draft(saved=saved, current=saved)
    _recompute(world, draft)
    services = join_services(world, saved).services
    times, copies, found = [], [], 0
    for number in range(edits):
        began = time.perf_counter()
        item = items[number % SERVICES]
        draft = draft.edited(replace(item, gpus=(world.gpus[(number * 7 + 3) % GPUS].uuid,)))
        found = _recompute(world, draft)
        times.append(time.perf_counter() - began)
        began = time.perf_counter()
        json.loads(json.dumps([asdict(service) for service in services], default=str))
        copies.append(time.perf_counter() - began)
    print(
        f"{GPUS} GPUs × {SERVICES} services: an edit and all {found} findings median {median(times) * 1e3:.1f} ms, "
        f"worst {max(times) * 1e3:.1f} ms; {median(times) / median(copies):.2f} × a JSON round trip of the services"
    )


if __name__ == "__main__":
    main()
