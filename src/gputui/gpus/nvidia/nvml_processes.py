"""The processes on a GPU, from NVML."""

from collections.abc import Callable
from typing import Any

import pynvml

_MIB = 2**20

_LISTS = (
    pynvml.nvmlDeviceGetComputeRunningProcesses,
    pynvml.nvmlDeviceGetGraphicsRunningProcesses,
    pynvml.nvmlDeviceGetMPSComputeRunningProcesses,
)


def memory_by_pid(ask: Callable[..., Any]) -> dict[int, int | None] | None:
    """The compute, graphics and MPS processes with their memory in MiB; a process in several lists counts once. None if
    no list is available."""
    usage_by_pid: dict[int, int | None] = {}
    has_list = False
    for call in _LISTS:
        try:
            processes = ask(call)
        except pynvml.NVMLError:
            return None
        if processes is None:
            continue
        has_list = True
        for process in processes:
            memory = None if process.usedGpuMemory is None else int(process.usedGpuMemory) // _MIB
            previous = usage_by_pid.get(process.pid)
            usage_by_pid[process.pid] = max(
                (amount for amount in (previous, memory) if amount is not None), default=None
            )
    return usage_by_pid if has_list else None


class BusyProcesses:
    """The utilization of GPUs by process: the driver returns samples since a timestamp, which is stored per GPU."""

    def __init__(self) -> None:
        self._seen_us: dict[str, int] = {}
        self._never: set[str] = set()

    def percent_by_pid(self, uuid: str, handle: Any) -> dict[int, int] | None:
        """By pid; processes that are not listed were idle. None if not supported."""
        if uuid in self._never:
            return None
        try:
            samples = pynvml.nvmlDeviceGetProcessUtilization(handle, self._seen_us.get(uuid, 0))
        except pynvml.NVMLError as error:
            if error.value == pynvml.NVML_ERROR_NOT_FOUND:
                return {}
            if error.value in (pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND):
                self._never.add(uuid)
            return None
        busy: dict[int, int] = {}
        for sample in sorted(samples, key=lambda sample: sample.timeStamp):
            self._seen_us[uuid] = max(self._seen_us.get(uuid, 0), int(sample.timeStamp))
            if sample.smUtil <= 100:  # drivers sometimes report nonsense (nvtop #110)
                busy[int(sample.pid)] = int(sample.smUtil)
        return busy
