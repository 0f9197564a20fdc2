"""Readings of a simulated server."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from gputui.domain.gpu import Gpu, GpuInventory, GpuProcess, Reading
from gputui.domain.gpu_details import GpuDetails, GpuLink, LinkTraffic
from gputui.domain.text import clean
from gputui.simulated.scenario import Scenario, SimulatedGpu

STRANGERS_AGE_S = 5_400.0
STRANGERS_PERCENT = 35
"""The age of other people's processes, and how busy each keeps its GPU."""


class Load(Protocol):
    """The load of a simulated container's process on one GPU."""

    @property
    def gpu(self) -> str:
        """The GPU's UUID."""
        ...

    @property
    def pid(self) -> int:
        """The pid of the process."""
        ...

    @property
    def container_id(self) -> str:
        """Its container."""
        ...

    @property
    def memory_mib(self) -> int:
        """The memory that it holds."""
        ...

    @property
    def utilization_percent(self) -> int:
        """How busy it keeps the GPU."""
        ...

    @property
    def command(self) -> str:
        """Its command line."""
        ...

    @property
    def started_at(self) -> float:
        """Its start time, in seconds since the epoch."""
        ...


class SimulatedSource:
    """Implements `GpuSource` over a scenario; `loads` are the processes of its containers."""

    def __init__(
        self, scenario: Scenario, loads: Callable[[], Sequence[Load]], clock: Callable[[], float] = time.time
    ) -> None:
        self._scenario = scenario
        self._loads = loads
        self._clock = clock
        self._began = clock()

    def inventory(self) -> GpuInventory:
        """The GPUs of the scenario."""
        gpus = tuple(simulated.gpu for simulated in self._scenario.gpus)
        return GpuInventory(gpus=gpus, driver_version=self._scenario.driver_version, links=_links(gpus))

    def has_changed(self) -> bool:
        """Never; a lost GPU comes back by itself."""
        return False

    def read(self, gpu: Gpu) -> Reading:
        """Values that vary with the clock and the load."""
        now = self._clock()
        age = now - self._began
        for loss in self._scenario.losses:
            if loss.gpu == gpu.uuid and loss.after_s <= age < loss.after_s + loss.for_s:
                return Reading(
                    gpu=gpu, taken_at=now, state="lost", reason=loss.reason, memory_total_mib=gpu.memory_total_mib
                )
        simulated = next(candidate for candidate in self._scenario.gpus if candidate.gpu.uuid == gpu.uuid)
        return self._reading(simulated, now)

    def _reading(self, simulated: SimulatedGpu, now: float) -> Reading:
        gpu = simulated.gpu
        loads = [load for load in self._loads() if load.gpu == gpu.uuid]
        strangers = [process for process in self._scenario.processes if process.gpu == gpu.uuid]
        busy = min(100, sum(load.utilization_percent for load in loads) + STRANGERS_PERCENT * len(strangers))
        wave = math.sin(now / 3.7 + gpu.index * 1.3) + math.sin(now / 1.1 + gpu.index)
        utilization = max(0, min(100, round(busy + 6 * wave))) if busy else 0
        used = self._held(gpu.uuid)
        total = gpu.memory_total_mib or 0
        used += sum(
            self._held(instance.gpu.uuid) for instance in self._scenario.gpus if instance.gpu.parent_uuid == gpu.uuid
        )
        used = min(used, total - simulated.reserved_mib)
        limit = simulated.power_limit_w
        is_full_gpu = gpu.mig_index is None and not gpu.mig_enabled
        return Reading(
            gpu=gpu,
            taken_at=now,
            memory_total_mib=total,
            memory_used_mib=used,
            memory_reserved_mib=simulated.reserved_mib,
            memory_free_mib=total - simulated.reserved_mib - used,
            utilization_percent=utilization if is_full_gpu else None,
            temperature_c=round(33 + 0.42 * utilization + gpu.index % 3) if gpu.mig_index is None else None,
            power_w=round(limit * (0.1 + 0.85 * utilization / 100)) if gpu.mig_index is None else None,
            power_limit_w=limit if gpu.mig_index is None else None,
            clock_sm_mhz=(1980 if utilization else 345) if gpu.mig_index is None else None,
            throttle_reasons=("power cap",) if is_full_gpu and utilization > 97 else (),
        )

    def _held(self, uuid: str) -> int:
        """The memory of its processes in MiB."""
        strangers = sum(process.memory_mib for process in self._scenario.processes if process.gpu == uuid)
        return strangers + sum(load.memory_mib for load in self._loads() if load.gpu == uuid)

    def processes(self, gpu: Gpu) -> tuple[GpuProcess, ...] | None:
        """The processes of containers and of other people."""
        container_processes = [
            GpuProcess(
                pid=load.pid,
                start_time=load.pid,
                memory_mib=load.memory_mib,
                user="root",
                command=clean(load.command, 512),
                container_id=load.container_id,
                started_at=load.started_at,
                sm_percent=load.utilization_percent,
            )
            for load in self._loads()
            if load.gpu == gpu.uuid
        ]
        strangers = [
            GpuProcess(
                pid=process.pid,
                start_time=process.pid,
                memory_mib=process.memory_mib,
                user=clean(process.user, 64),
                command=clean(process.command, 512),
                started_at=self._began - STRANGERS_AGE_S,
                sm_percent=STRANGERS_PERCENT,
            )
            for process in self._scenario.processes
            if process.gpu == gpu.uuid
        ]
        return tuple(container_processes + strangers)

    def details(self, gpu: Gpu) -> GpuDetails | None:
        """The details in the scenario."""
        simulated = next(candidate for candidate in self._scenario.gpus if candidate.gpu.uuid == gpu.uuid)
        return replace(simulated.details, taken_at=self._clock()) if simulated.details else None

    def traffic(self, gpu: Gpu) -> LinkTraffic | None:
        """Traffic in proportion to the GPU's utilization."""
        busy = self.read(gpu).utilization_percent
        if busy is None:
            return None
        kib = busy * 20_000
        moved = int((self._clock() - self._began) * kib * 4) if gpu.island else None
        return LinkTraffic(
            taken_at=self._clock(),
            pcie_rx_kib_s=kib,
            pcie_tx_kib_s=kib // 3,
            nvlink_rx_kib=moved,
            nvlink_tx_kib=moved,
        )


def _links(gpus: Sequence[Gpu]) -> tuple[GpuLink, ...]:
    """GPUs of an NVLink island are connected by NVLink, others through the host."""
    full_gpus = [gpu for gpu in gpus if gpu.parent_uuid is None]
    links = []
    for index, gpu in enumerate(full_gpus):
        for peer in full_gpus[index + 1 :]:
            linked = gpu.island is not None and gpu.island == peer.island and gpu.island.startswith("NVLink")
            same_node = gpu.numa_node is not None and gpu.numa_node == peer.numa_node
            link = GpuLink(gpu=gpu.uuid, peer=peer.uuid, kind="NODE" if same_node else "SYS")
            links.append(replace(link, kind="NVLink", nvlinks=18) if linked else link)
    return tuple(links)
