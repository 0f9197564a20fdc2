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
    """One device that a process can be given: a whole GPU or a MIG instance. Its identity is `uuid`.

    `minor` is the N of `/dev/nvidiaN`, which need not equal `index`; `index` can change on reboot.
    `unified_memory`: it has none of its own and shares the machine's, which is then what its readings tell.
    `present`: it answered when GPUs were looked for.
    `island` is the same for GPUs that reach each other fast: over NVLink, else from the same NUMA node.
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
        """How fast it is for serving models: memory bandwidth first, for generating text reads all weights for each
        token, then cores × clock; 0 where that is not known."""
        return (float(self.memory_bandwidth_gb_s or 0), float((self.cores or 0) * (self.max_sm_clock_mhz or 0)))

    @property
    def label(self) -> str:
        """What a person types and reads: `3`, or `3:1` for a MIG instance."""
        return str(self.index) if self.mig_index is None else f"{self.index}:{self.mig_index}"

    @property
    def assignable(self) -> bool:
        """A GPU cut into MIG instances cannot be given away as a whole."""
        return not self.mig_enabled

    @property
    def pci_order(self) -> tuple[str, int, int]:
        """Sorts as CUDA_DEVICE_ORDER=PCI_BUS_ID does."""
        return (self.pci_bus_id or "", self.index, self.mig_index or 0)


def device_node(gpu: Gpu, by_uuid: Mapping[str, Gpu]) -> str | None:
    """The device node by which a GPU is reached; that of an instance is its parent's. None where it is not known."""
    full_gpu = by_uuid.get(gpu.parent_uuid, gpu) if gpu.parent_uuid else gpu
    return None if full_gpu.minor is None else f"/dev/nvidia{full_gpu.minor}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuProcess:
    """A process on a GPU; (`pid`, `start_time`) is its identity, because pids are used again.

    `start_time` is in clock ticks after boot, `started_at` the same in seconds since the epoch. `sm_percent` is how
    busy it keeps the GPU's multiprocessors.
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

    `memory_used_mib` is what processes allocated, `memory_reserved_mib` what driver and firmware keep (the fields of
    NVML's nvmlMemory_v2_t). `processes` is `None` where the list could not be read.
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
    """Which GPUs there are, or why none could be found: `reason` says what, `fix` what to do about it.

    `source` is what the readings come from where that is not NVML; it gives new ones every `every_s` seconds.
    `links` are how the whole GPUs reach each other, as far as that is known.
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
        """Why there are no GPUs, where there are none."""
        return self.reason or "the driver lists none"


def labels_by_uuid(gpus: Iterable[Gpu]) -> dict[str, str]:
    """The labels that people know GPUs by, by UUID."""
    return {gpu.uuid: gpu.label for gpu in gpus}


def labels_of(uuids: Sequence[str], gpus: Sequence[Gpu]) -> str:
    """GPUs as a person reads them: `0,2`, or `none`."""
    names = labels_by_uuid(gpus)
    return ",".join(names.get(uuid, uuid[:12]) for uuid in uuids) or "none"


def in_runs(labels: Sequence[str]) -> str:
    """Labels in their order, three and more that follow each other as a run: `5,8-15`."""
    runs: list[list[str]] = []
    for label in labels:
        last = runs[-1][-1] if runs else ""
        number = whole_number(last, least=0)
        follows = number is not None and label == str(number + 1)
        runs[-1].append(label) if follows else runs.append([label])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(run) for run in runs)


GPU_NODE_PATH = re.compile(r"^/dev/nvidia[0-9]{1,3}$")
"""The device node of a whole GPU."""

_RUN = re.compile(r"([0-9]{1,3})-([0-9]{1,3})")


def out_of_runs(text: str) -> list[str]:
    """What stands between the commas, with `4-7` as the four that it means."""
    names: list[str] = []
    for name in (part.strip() for part in text.split(",")):
        run = _RUN.fullmatch(name)
        first, last = (int(run[1]), int(run[2])) if run else (0, 0)
        names += [str(number) for number in range(first, last + 1)] if first < last else [name]
    return names
