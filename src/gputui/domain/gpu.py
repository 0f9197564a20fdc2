"""A GPU, its reading, and the processes on it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gputui.domain.gpu_details import GpuDetails, GpuLink
from gputui.domain.text import whole_number

ProcessSignal = Literal["TERM", "INT", "KILL"]

GpuState = Literal["ok", "stale", "lost", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A device that can be assigned to a process: a full GPU or a MIG instance. Its identity is `uuid`.

    `minor` is the N of `/dev/nvidiaN`, which need not equal `index`; `index` can change on reboot.
    `unified_memory`: it shares the machine's memory, which is then what its readings report.
    `present`: it responded during the inventory.
    `island` is the same for GPUs with fast connections: over NVLink, else within a NUMA node.
    """

    uuid: str
    index: int
    name: str
    pci_bus_id: str | None = None
    minor: int | None = None
    compute_capability: str | None = None
    memory_total_mib: int | None = None
    mig_enabled: bool = False
    mig_index: int | None = None
    parent_uuid: str | None = None
    memory_bandwidth_gb_s: int | None = None
    cores: int | None = None
    max_sm_clock_mhz: int | None = None
    island: str | None = None
    unified_memory: bool = False
    present: bool = True
    numa_node: int | None = None

    @property
    def speed(self) -> tuple[float, float]:
        """Its speed for serving models: memory bandwidth first, because generating a token reads all weights, then
        cores × clock; 0 if unknown."""
        return (float(self.memory_bandwidth_gb_s or 0), float((self.cores or 0) * (self.max_sm_clock_mhz or 0)))

    @property
    def label(self) -> str:
        """The name for users: `3`, or `3:1` for a MIG instance."""
        return str(self.index) if self.mig_index is None else f"{self.index}:{self.mig_index}"

    @property
    def assignable(self) -> bool:
        """Whether it can be assigned; a GPU split into MIG instances cannot."""
        return not self.mig_enabled

    @property
    def pci_order(self) -> tuple[str, int, int]:
        """Sorts as CUDA_DEVICE_ORDER=PCI_BUS_ID does."""
        return (self.pci_bus_id or "", self.index, self.mig_index or 0)


def device_node(gpu: Gpu, by_uuid: Mapping[str, Gpu]) -> str | None:
    """The device node of a GPU; for an instance, that of its parent. None if unknown."""
    full_gpu = by_uuid.get(gpu.parent_uuid, gpu) if gpu.parent_uuid else gpu
    return None if full_gpu.minor is None else f"/dev/nvidia{full_gpu.minor}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuProcess:
    """A process on a GPU; its identity is (`pid`, `start_time`), because pids are reused.

    `start_time` is in clock ticks after boot, `started_at` the same in seconds since the epoch. `sm_percent` is its
    utilization of the GPU's multiprocessors.
    """

    pid: int
    start_time: int | None = None
    memory_mib: int | None = None
    user: str | None = None
    command: str | None = None
    container_id: str | None = None
    started_at: float | None = None
    sm_percent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The values of one GPU at one moment (`taken_at`, seconds since the epoch). `None` is unknown, never 0.

    `memory_used_mib` is allocated by processes, `memory_reserved_mib` reserved by driver and firmware (the fields of
    NVML's nvmlMemory_v2_t). `processes` is `None` if the list could not be read.
    """

    gpu: Gpu
    taken_at: float
    state: GpuState = "ok"
    reason: str | None = None
    memory_total_mib: int | None = None
    memory_used_mib: int | None = None
    memory_reserved_mib: int | None = None
    memory_free_mib: int | None = None
    utilization_percent: int | None = None
    temperature_c: int | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    clock_sm_mhz: int | None = None
    throttle_reasons: tuple[str, ...] = ()
    processes: tuple[GpuProcess, ...] | None = None
    details: GpuDetails | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuInventory:
    """The existing GPUs, or why none was found: `reason` is the cause, `fix` what to do about it.

    `source` names the source of the readings if it is not NVML; it updates every `every_s` seconds.
    `links` are the known connections between full GPUs.
    """

    gpus: tuple[Gpu, ...] = ()
    driver_version: str | None = None
    reason: str | None = None
    fix: str | None = None
    source: str | None = None
    every_s: float = 0.0
    links: tuple[GpuLink, ...] = ()

    @property
    def why_none(self) -> str:
        """Why there are no GPUs, if there are none."""
        return self.reason or "the driver lists none"


def labels_by_uuid(gpus: Iterable[Gpu]) -> dict[str, str]:
    """The labels of GPUs by UUID."""
    return {gpu.uuid: gpu.label for gpu in gpus}


def labels_of(uuids: Sequence[str], gpus: Sequence[Gpu]) -> str:
    """The labels of GPUs as text: `0,2`, or `none`."""
    names = labels_by_uuid(gpus)
    return ",".join(names.get(uuid, uuid[:12]) for uuid in uuids) or "none"


def in_runs(labels: Sequence[str]) -> str:
    """Labels in their order, with three or more consecutive ones as a range: `5,8-15`."""
    runs: list[list[str]] = []
    for label in labels:
        last = runs[-1][-1] if runs else ""
        number = whole_number(last, least=0)
        follows = number is not None and label == str(number + 1)
        runs[-1].append(label) if follows else runs.append([label])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(run) for run in runs)


GPU_NODE_PATH = re.compile(r"^/dev/nvidia[0-9]{1,3}$")
"""The device node of a full GPU."""

_RUN = re.compile(r"([0-9]{1,3})-([0-9]{1,3})")


def out_of_runs(text: str) -> list[str]:
    """The comma-separated labels, with ranges such as `4-7` expanded."""
    names: list[str] = []
    for name in (part.strip() for part in text.split(",")):
        run = _RUN.fullmatch(name)
        first, last = (int(run[1]), int(run[2])) if run else (0, 0)
        names += [str(number) for number in range(first, last + 1)] if first < last else [name]
    return names
