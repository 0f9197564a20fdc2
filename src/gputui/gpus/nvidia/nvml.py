"""Readings from NVML, through NVIDIA's binding (`nvidia-ml-py`)."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

import pynvml

from gputui.domain.gpu import Gpu, GpuInventory, GpuProcess, Reading
from gputui.domain.gpu_details import GpuDetails, LinkTraffic
from gputui.domain.text import clean
from gputui.gpus.nvidia.nvml_details import details, traffic
from gputui.gpus.nvidia.nvml_processes import BusyProcesses, memory_by_pid
from gputui.gpus.nvidia.nvml_topology import NvLinks, links, nvlinks
from gputui.gpus.nvidia.unified_memory import machine_memory, shares_memory
from gputui.gpus.nvidia.xid_watch import XidWatch
from gputui.gpus.processes import identify
from gputui.gpus.topology import islands, numa_node

T = TypeVar("T")

_MIB = 2**20

# nvml.h, "nvmlClocksEventReasons"; idle and application clocks are omitted, because they are not limits.
_THROTTLE_REASONS = (
    (0x4, "power cap"),
    (0x8, "hardware slowdown"),
    (0x10, "sync boost"),
    (0x20, "hot"),
    (0x40, "hardware thermal slowdown"),
    (0x80, "power brake"),
    (0x100, "display clock"),
)

_LOST = (pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED, pynvml.NVML_ERROR_GPU_NOT_FOUND)
_NEVER = (
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
)

_NO_GPUS = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: (
        "the NVIDIA driver's library is missing (libnvidia-ml.so.1)",
        "install the NVIDIA driver, or run gputui where it is installed",
    ),
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: (
        "the NVIDIA driver is not loaded",
        "load it with `sudo modprobe nvidia`, or reboot",
    ),
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
        "driver and library have different versions (an update without a reboot)",
        "reboot, or reload the nvidia kernel modules",
    ),
    pynvml.NVML_ERROR_NO_PERMISSION: (
        "no permission to use the NVIDIA driver",
        "check the permissions of /dev/nvidia* (group video on some systems)",
    ),
}


def _code(error: pynvml.NVMLError) -> int:
    return int(error.value)


def _driver_version() -> str:
    try:
        return clean(str(pynvml.nvmlSystemGetDriverVersion()), 40)
    except UnicodeDecodeError:
        return "unknown"


class NvmlSource:
    """Readings from NVML. It is initialised with the first inventory and stays initialised: without persistence mode
    each initialisation wakes the GPUs, which takes more than a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = False
        self._handles: dict[str, Any] = {}
        self._new_handles: dict[str, Any] = {}
        self._gpus: tuple[Gpu, ...] = ()
        self._unsupported: set[tuple[str, str, tuple[Any, ...]]] = set()
        self._nvlinks: dict[str, NvLinks] = {}
        self._busy = BusyProcesses()
        self._xids = XidWatch()
        self._layout: tuple[_Place, ...] = ()

    def inventory(self) -> GpuInventory:
        """Look for GPUs again; NVML is initialised again in case the driver was reloaded."""
        with self._lock:
            try:
                if self._started:
                    self._xids.stop()
                    pynvml.nvmlShutdown()
                    self._started = False
                pynvml.nvmlInit()
                self._started = True
                count = pynvml.nvmlDeviceGetCount()
                driver = _driver_version()
            except pynvml.NVMLError as error:
                self._layout = ()
                reason, fix = _NO_GPUS.get(
                    _code(error), (f"NVML cannot be used: {clean(str(error), 80)}", "look at `dmesg`")
                )
                return GpuInventory(reason=reason, fix=fix)
            self._new_handles = {}
            self._unsupported.clear()
            gpus: list[Gpu] = []
            for index in range(count):
                gpus += self._enumerate(index)
            self._gpus = self._with_islands(gpus)
            self._layout = _layout()
            # Concurrent readers used the old handles until here.
            self._handles = self._new_handles
            if not gpus:
                return GpuInventory(driver_version=driver, reason="the driver lists no GPU", fix="look at `dmesg`")
            full_gpus = [gpu for gpu in self._gpus if gpu.parent_uuid is None]
            self._xids.watch(
                {gpu.uuid: self._new_handles[gpu.uuid] for gpu in full_gpus if gpu.uuid in self._new_handles}
            )
            gpu_links = links(full_gpus, self._new_handles, self._nvlinks)
            return GpuInventory(gpus=self._gpus, driver_version=driver, links=gpu_links)

    def has_changed(self) -> bool:
        """Compares what NVML lists by index. A GPU that fell off the bus is only found after re-initialisation, and so
        is a driver that did not answer at the last look."""
        return not self._started or None in self._layout or _layout() != self._layout

    def _enumerate(self, index: int) -> list[Gpu]:
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            uuid = str(pynvml.nvmlDeviceGetUUID(handle))
        except (pynvml.NVMLError, UnicodeDecodeError):
            # It fell off the bus: keep it, under its previous identity if known.
            previous = next((gpu for gpu in self._gpus if gpu.index == index and gpu.mig_index is None), None)
            return [replace(previous or Gpu(uuid=f"lost-{index}", index=index, name="unknown GPU"), present=False)]
        self._new_handles[uuid] = handle
        try:
            return self._described(index, uuid, handle)
        except pynvml.NVMLError:
            del self._new_handles[uuid]  # it was lost between the two calls
            return [Gpu(uuid=uuid, index=index, name="unknown GPU", present=False)]

    def _described(self, index: int, uuid: str, handle: Any) -> list[Gpu]:
        mode = self._ask(uuid, pynvml.nvmlDeviceGetMigMode, handle)
        capability = self._ask(uuid, pynvml.nvmlDeviceGetCudaComputeCapability, handle)
        pci = self._ask(uuid, pynvml.nvmlDeviceGetPciInfo, handle)
        bus_bits = self._ask(uuid, pynvml.nvmlDeviceGetMemoryBusWidth, handle)
        memory_mhz = self._ask(uuid, pynvml.nvmlDeviceGetMaxClockInfo, handle, pynvml.NVML_CLOCK_MEM)
        name, total = self._name(uuid, handle), self._total(uuid, handle)
        shared = machine_memory() if total is None and shares_memory(name) else None
        parent = Gpu(
            uuid=uuid,
            index=index,
            name=name,
            pci_bus_id=clean(str(pci.busId), 32) if pci else None,
            minor=self._ask(uuid, pynvml.nvmlDeviceGetMinorNumber, handle),
            compute_capability=f"{capability[0]}.{capability[1]}" if capability else None,
            memory_total_mib=shared.total_mib if shared else total,
            unified_memory=shared is not None,
            mig_enabled=bool(mode and mode[0] == pynvml.NVML_DEVICE_MIG_ENABLE),
            # Two transfers per clock, as NVML counts the clock of all memory types; 8 bits per byte.
            memory_bandwidth_gb_s=bus_bits * memory_mhz * 2 // 8000 if bus_bits and memory_mhz else None,
            cores=self._ask(uuid, pynvml.nvmlDeviceGetNumGpuCores, handle),
            max_sm_clock_mhz=self._ask(uuid, pynvml.nvmlDeviceGetMaxClockInfo, handle, pynvml.NVML_CLOCK_SM),
        )
        return [parent, *(self._instances(parent, handle) if parent.mig_enabled else [])]

    def _with_islands(self, gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
        full_gpus = [gpu for gpu in gpus if gpu.parent_uuid is None]
        by_bus = {gpu.pci_bus_id: gpu.uuid for gpu in full_gpus}
        self._nvlinks = {
            gpu.uuid: nvlinks(self._new_handles[gpu.uuid], by_bus) for gpu in full_gpus if gpu.uuid in self._new_handles
        }
        nodes = {gpu.uuid: numa_node(gpu.pci_bus_id) for gpu in full_gpus}
        island_names = islands({uuid: frozenset(nvlink_set.ends) for uuid, nvlink_set in self._nvlinks.items()}, nodes)
        return tuple(
            replace(
                gpu,
                island=island_names.get(gpu.parent_uuid or gpu.uuid),
                numa_node=nodes.get(gpu.parent_uuid or gpu.uuid),
            )
            for gpu in gpus
        )

    def _instances(self, parent: Gpu, handle: Any) -> list[Gpu]:
        instances = []
        for mig_index in range(self._ask(parent.uuid, pynvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
            try:
                instance = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, mig_index)
                uuid = str(pynvml.nvmlDeviceGetUUID(instance))
            except (pynvml.NVMLError, UnicodeDecodeError):
                continue  # an empty slot
            self._new_handles[uuid] = instance
            instances.append(
                Gpu(
                    uuid=uuid,
                    index=parent.index,
                    mig_index=mig_index,
                    parent_uuid=parent.uuid,
                    name=self._name(uuid, instance),
                    pci_bus_id=parent.pci_bus_id,
                    minor=None,
                    compute_capability=parent.compute_capability,
                    memory_total_mib=self._total(uuid, instance),
                    memory_bandwidth_gb_s=_part(parent, self._total(uuid, instance)),
                )
            )
        return instances

    def _name(self, uuid: str, handle: Any) -> str:
        name = self._ask(uuid, pynvml.nvmlDeviceGetName, handle)
        return clean(str(name), 96) if name else "unknown GPU"

    def _total(self, uuid: str, handle: Any) -> int | None:
        memory = self._ask(uuid, pynvml.nvmlDeviceGetMemoryInfo, handle)
        return int(memory.total) // _MIB if memory and memory.total else None

    def _ask(self, uuid: str, call: Callable[..., T], *arguments: Any, **options: Any) -> T | None:
        """One value, or None: unsupported queries are not repeated, other errors are retried next time.

        Raises:
            pynvml.NVMLError: the GPU is lost, or NVML is not initialised.
        """
        query = (uuid, call.__name__, arguments[1:])
        if query in self._unsupported:
            return None
        try:
            return call(*arguments, **options)
        except pynvml.NVMLError as error:
            if _code(error) in (*_LOST, pynvml.NVML_ERROR_UNINITIALIZED):
                raise
            if _code(error) in _NEVER:
                self._unsupported.add(query)
            return None
        except UnicodeDecodeError:  # a malformed string from the driver
            return None

    def read(self, gpu: Gpu) -> Reading:
        """The current values of one GPU; waits while NVML is being re-initialised."""
        try:
            return self._reading(gpu)
        except pynvml.NVMLError_Uninitialized:
            with self._lock:
                pass
            return self._reading(gpu)

    def _reading(self, gpu: Gpu) -> Reading:
        taken_at = time.time()
        handle = self._handles.get(gpu.uuid)
        if handle is None:
            return Reading(
                gpu=gpu,
                taken_at=taken_at,
                state="lost",
                reason="it does not answer",
                memory_total_mib=gpu.memory_total_mib,
            )
        try:
            return self._read(gpu, handle, taken_at)
        except pynvml.NVMLError_Uninitialized:
            raise
        except pynvml.NVMLError as error:
            reason = clean(str(error), 60)
            return Reading(
                gpu=gpu, taken_at=taken_at, state="lost", reason=reason, memory_total_mib=gpu.memory_total_mib
            )

    def _read(self, gpu: Gpu, handle: Any, taken_at: float) -> Reading:
        uuid = gpu.uuid
        memory = self._ask(uuid, _memory_v2, handle)
        older = None if memory else self._ask(uuid, pynvml.nvmlDeviceGetMemoryInfo, handle)
        amounts: Any = memory or older
        rates = self._ask(uuid, pynvml.nvmlDeviceGetUtilizationRates, handle)
        power = self._ask(uuid, pynvml.nvmlDeviceGetPowerUsage, handle)
        limit = self._ask(uuid, pynvml.nvmlDeviceGetEnforcedPowerLimit, handle)
        reasons = self._ask(uuid, pynvml.nvmlDeviceGetCurrentClocksEventReasons, handle)
        has_memory = bool(amounts and amounts.total)
        reading = Reading(
            gpu=gpu,
            taken_at=taken_at,
            memory_total_mib=int(amounts.total) // _MIB if has_memory else None,
            memory_used_mib=int(amounts.used) // _MIB if has_memory else None,
            memory_reserved_mib=int(memory.reserved) // _MIB if memory and has_memory else None,
            memory_free_mib=int(amounts.free) // _MIB if has_memory else None,
            utilization_percent=int(rates.gpu) if rates else None,
            temperature_c=self._ask(uuid, _temperature, handle),
            power_w=power / 1000 if power is not None else None,
            power_limit_w=limit / 1000 if limit is not None else None,
            clock_sm_mhz=self._ask(uuid, pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM),
            throttle_reasons=tuple(name for bit, name in _THROTTLE_REASONS if (reasons or 0) & bit),
        )
        return _with_machine_memory(reading) if gpu.unified_memory else reading

    def processes(self, gpu: Gpu) -> tuple[GpuProcess, ...] | None:
        """The processes on one GPU."""
        handle = self._handles.get(gpu.uuid)
        if handle is None:
            return None
        usage_by_pid = memory_by_pid(self._asking(gpu.uuid, handle))
        if usage_by_pid is None:
            return None
        busy = self._busy.percent_by_pid(gpu.uuid, handle)
        return tuple(
            identify(GpuProcess(pid=pid, memory_mib=memory, sm_percent=None if busy is None else busy.get(pid, 0)))
            for pid, memory in sorted(usage_by_pid.items())
        )

    def details(self, gpu: Gpu) -> GpuDetails | None:
        """The slowly changing values; instances have none, their parent reports them."""
        handle = self._handles.get(gpu.uuid)
        if handle is None or gpu.parent_uuid is not None:
            return None
        initial = self._nvlinks.get(gpu.uuid)
        try:
            # A GPU without NVLinks need not be queried again.
            current = nvlinks(handle, {}) if initial and initial.count else None
            up = (current.count, current.up) if current and current.count else None
            return details(self._asking(gpu.uuid, handle), self._xids.of(gpu.uuid), up)
        except pynvml.NVMLError:
            return None

    def traffic(self, gpu: Gpu) -> LinkTraffic | None:
        """The current traffic over its links."""
        handle = self._handles.get(gpu.uuid)
        if handle is None or gpu.parent_uuid is not None:
            return None
        try:
            return traffic(self._asking(gpu.uuid, handle))
        except pynvml.NVMLError:
            return None

    def _asking(self, uuid: str, handle: Any) -> Callable[..., Any]:
        def ask(call: Callable[..., Any], *arguments: Any) -> Any:
            return self._ask(uuid, call, handle, *arguments)

        return ask


_Place = tuple[str, bool, tuple[str, ...]] | None
"""The device at an index: UUID, whether it is split (MIG), and its instances; None if it does not answer."""


def _layout() -> tuple[_Place, ...]:
    """The devices that NVML lists, by index."""
    try:
        return tuple(_place(index) for index in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError:
        return ()


def _place(index: int) -> _Place:
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        uuid = str(pynvml.nvmlDeviceGetUUID(handle))
    except (pynvml.NVMLError, UnicodeDecodeError):
        return None
    try:
        mig_enabled = pynvml.nvmlDeviceGetMigMode(handle)[0] == pynvml.NVML_DEVICE_MIG_ENABLE
    except pynvml.NVMLError:
        return uuid, False, ()
    instances = []
    for mig_index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle) if mig_enabled else 0):
        with suppress(pynvml.NVMLError, UnicodeDecodeError):  # an empty slot
            instances.append(
                str(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, mig_index)))
            )
    return uuid, mig_enabled, tuple(instances)


def _part(parent: Gpu, total_mib: int | None) -> int | None:
    """The bandwidth of an instance, which is proportional to its memory slices."""
    if not parent.memory_bandwidth_gb_s or not parent.memory_total_mib or not total_mib:
        return None
    return parent.memory_bandwidth_gb_s * total_mib // parent.memory_total_mib


def _with_machine_memory(reading: Reading) -> Reading:
    machine = machine_memory()
    if machine is None:
        return reading
    return replace(
        reading,
        memory_total_mib=machine.total_mib,
        memory_used_mib=machine.total_mib - machine.available_mib,
        memory_free_mib=machine.available_mib,
    )


def _memory_v2(handle: Any) -> Any:
    """Memory with the part reserved by driver and firmware, which only version 2 reports separately."""
    return pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)


def _temperature(handle: Any) -> int:
    return int(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))
