"""Readings from `nvidia-smi -q -x`, for hosts without access to NVML. Missing values stay unknown."""

import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gputui.domain.errors import GputuiError, Unreachable
from gputui.domain.gpu import Gpu, GpuInventory, GpuProcess, Reading
from gputui.domain.gpu_details import GpuDetails, LinkTraffic
from gputui.domain.text import clean, real_number, whole_number
from gputui.gpus.processes import identify

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

Run = Callable[[Sequence[str]], str]
"""Runs `nvidia-smi` with these arguments and returns its output. Raises `Unreachable` if that fails."""

REPORT = ("-q", "-x")
LISTING = ("-L",)
TIMEOUT_S = 30.0
SIZE_LIMIT = 16 * 2**20

_NUMBER = re.compile(r"^-?\d+(\.\d+)?")
_INSTANCE = re.compile(r"^\s+MIG .*Device\s+([0-9]{1,9}): \(UUID: (MIG-[^)]+)\)")
_GPU = re.compile(r"^GPU ([0-9]{1,9}):")
# The elements of <clocks_event_reasons> (before R535 <clocks_throttle_reasons>), without their prefix.
_REASONS = {
    "sw_power_cap": "power cap",
    "hw_slowdown": "hardware slowdown",
    "sync_boost": "sync boost",
    "sw_thermal_slowdown": "hot",
    "hw_thermal_slowdown": "hardware thermal slowdown",
    "hw_power_brake_slowdown": "power brake",
    "display_clocks_setting": "display clock",
}


@dataclass(frozen=True, slots=True)
class Report:
    """One parsed report: the driver version, and the reading of every GPU with its processes."""

    driver_version: str | None
    readings: tuple[Reading, ...]


def parse(report: str, listing: str, taken_at: float) -> Report:
    """The parsed report; `listing` is the output of `nvidia-smi -L`, which names MIG instances if the report does not.

    Raises:
        Unreachable: the text is not a valid report.
    """
    from xml.etree import ElementTree  # noqa: PLC0415 - not needed if NVML is available

    # A GPU that fell off the bus is reported in a line of plain text before the XML.
    start = report.find("<?xml")
    if start < 0:
        problem = clean(report.strip().splitlines()[0] if report.strip() else "it says nothing", 200)
        raise Unreachable(f"nvidia-smi: {problem}", "look at `dmesg`")
    try:
        root = ElementTree.fromstring(report[start : start + SIZE_LIMIT])
    except ElementTree.ParseError as error:
        raise Unreachable(f"nvidia-smi gave a report that is not understood: {clean(str(error), 80)}") from None
    uuids = _instances(listing)
    readings: list[Reading] = []
    for index, element in enumerate(root.findall("gpu")):
        readings += _gpu(index, element, uuids, taken_at)
    return Report(_text(root, "driver_version"), tuple(readings))


def _instances(listing: str) -> dict[tuple[int, int], str]:
    instances, parent = {}, -1
    for line in listing.splitlines():
        if match := _GPU.match(line):
            parent = int(match[1])
        elif match := _INSTANCE.match(line):
            instances[parent, int(match[1])] = clean(match[2], 80)
    return instances


def _gpu(index: int, element: "Element", uuids: Mapping[tuple[int, int], str], taken_at: float) -> list[Reading]:
    uuid = _text(element, "uuid")
    if uuid is None:
        gpu = Gpu(uuid=f"lost-{index}", index=index, name="unknown GPU", present=False)
        return [Reading(gpu=gpu, taken_at=taken_at, state="lost", reason="it does not answer")]
    mig_enabled = _text(element, "mig_mode/current_mig") == "Enabled"
    full_gpu = Gpu(
        uuid=uuid,
        index=index,
        name=_text(element, "product_name") or "unknown GPU",
        pci_bus_id=_text(element, "pci/pci_bus_id"),
        minor=_integer(element, "minor_number"),
        memory_total_mib=_integer(element, "fb_memory_usage/total"),
        mig_enabled=mig_enabled,
        max_sm_clock_mhz=_integer(element, "max_clocks/sm_clock"),
    )
    processes = element.findall("processes/process_info")
    gpu_processes = [
        process for process in processes if not mig_enabled or _integer(process, "gpu_instance_id") is None
    ]
    reading = replace(
        _memory(full_gpu, element, taken_at),
        utilization_percent=_integer(element, "utilization/gpu_util"),
        temperature_c=_integer(element, "temperature/gpu_temp"),
        power_w=_first(element, _power("instant_power_draw", "average_power_draw", "power_draw")),
        power_limit_w=_first(element, _power("enforced_power_limit", "current_power_limit", "power_limit")),
        clock_sm_mhz=_integer(element, "clocks/sm_clock"),
        throttle_reasons=_reasons(element),
        processes=_processes(gpu_processes) if _lists_processes(element) else None,
        details=_details(element, taken_at),
    )
    readings = [reading]
    for device in element.findall("mig_devices/mig_device") if mig_enabled else []:
        mig_index = _integer(device, "index")
        name = _text(device, "uuid") or (None if mig_index is None else uuids.get((index, mig_index)))
        if mig_index is None or name is None:
            continue  # it cannot be assigned without a name
        instance = Gpu(
            uuid=name,
            index=index,
            mig_index=mig_index,
            parent_uuid=uuid,
            name=f"{full_gpu.name} MIG",
            pci_bus_id=full_gpu.pci_bus_id,
            memory_total_mib=_integer(device, "fb_memory_usage/total"),
        )
        slot = _integer(device, "gpu_instance_id")
        instance_processes = [process for process in processes if _integer(process, "gpu_instance_id") == slot]
        readings.append(
            replace(
                _memory(instance, device, taken_at),
                processes=_processes(instance_processes) if _lists_processes(element) else None,
            )
        )
    return readings


def _details(element: "Element", taken_at: float) -> GpuDetails:
    errors = "ecc_errors/volatile/"
    uncorrected = [_integer(element, errors + name) for name in ("sram_uncorrectable", "dram_uncorrectable")]
    counts = [count for count in uncorrected if count is not None]
    link = "pci/pci_gpu_link_info/"
    return GpuDetails(
        taken_at=taken_at,
        performance_state=_text(element, "performance_state"),
        fan_percent=_integer(element, "fan_speed"),
        clock_sm_max_mhz=_integer(element, "max_clocks/sm_clock"),
        clock_memory_mhz=_integer(element, "clocks/mem_clock"),
        memory_busy_percent=_integer(element, "utilization/memory_util"),
        memory_temperature_c=_integer(element, "temperature/memory_temp"),
        slowdown_c=_integer(element, "temperature/gpu_temp_slow_threshold"),
        encoder_percent=_integer(element, "utilization/encoder_util"),
        decoder_percent=_integer(element, "utilization/decoder_util"),
        pcie_generation=_integer(element, link + "pcie_gen/current_link_gen"),
        pcie_generation_max=_integer(element, link + "pcie_gen/max_link_gen"),
        pcie_width=_integer_in(_text(element, link + "link_widths/current_link_width")),
        pcie_width_max=_integer_in(_text(element, link + "link_widths/max_link_width")),
        pcie_replays=_integer(element, "pci/replay_counter"),
        ecc=_switch(element, "ecc_mode/current_ecc"),
        ecc_uncorrected=sum(counts) if counts else None,
        remap_pending=_switch(element, "remapped_rows/remapped_row_pending"),
        remap_failed=_switch(element, "remapped_rows/remapped_row_failure"),
        persistence=_switch(element, "persistence_mode"),
    )


def _integer_in(text: str | None) -> int | None:
    return whole_number((text or "").removesuffix("x"), least=0)


def _switch(element: "Element", path: str) -> bool | None:
    return {"Enabled": True, "Yes": True, "Disabled": False, "No": False}.get(_text(element, path) or "")


def _memory(gpu: Gpu, element: "Element", taken_at: float) -> Reading:
    return Reading(
        gpu=gpu,
        taken_at=taken_at,
        memory_total_mib=_integer(element, "fb_memory_usage/total"),
        memory_used_mib=_integer(element, "fb_memory_usage/used"),
        memory_reserved_mib=_integer(element, "fb_memory_usage/reserved"),
        memory_free_mib=_integer(element, "fb_memory_usage/free"),
    )


def _power(*names: str) -> list[str]:
    """The names depend on the driver: R535 moved them to another element, R570 split the draw."""
    return [f"{folder}/{name}" for name in names for folder in ("gpu_power_readings", "power_readings")]


def _reasons(element: "Element") -> tuple[str, ...]:
    reasons = [*element.findall("clocks_event_reasons/*"), *element.findall("clocks_throttle_reasons/*")]
    active = [reason.tag.partition("_reason_")[2] for reason in reasons if (reason.text or "").strip() == "Active"]
    return tuple(dict.fromkeys(_REASONS[name] for name in active if name in _REASONS))


def _lists_processes(element: "Element") -> bool:
    """Whether processes are listed; otherwise the list is missing or N/A."""
    node = element.find("processes")
    return node is not None and (node.text or "").strip() != "N/A"


def _processes(elements: Sequence["Element"]) -> tuple[GpuProcess, ...]:
    memory_by_pid: dict[int, int | None] = {}
    for element in elements:
        pid = _integer(element, "pid")
        if pid is not None:
            memory_by_pid[pid] = max(
                (memory for memory in (memory_by_pid.get(pid), _integer(element, "used_memory")) if memory),
                default=None,
            )
    return tuple(identify(GpuProcess(pid=pid, memory_mib=memory)) for pid, memory in sorted(memory_by_pid.items()))


def _text(element: "Element", path: str) -> str | None:
    node = element.find(path)
    text = clean((node.text or "").strip(), 120) if node is not None else ""
    return None if text in ("", "N/A", "[N/A]", "Unknown Error", "Not Supported", "ERR!") else text


def _value(element: "Element", path: str) -> float | None:
    match = _NUMBER.match(_text(element, path) or "")
    return real_number(match[0]) if match else None


def _integer(element: "Element", path: str) -> int | None:
    value = _value(element, path)
    return None if value is None else int(value)


def _first(element: "Element", paths: Sequence[str]) -> float | None:
    return next((value for path in paths if (value := _value(element, path)) is not None), None)


def run_on_path(arguments: Sequence[str]) -> str:
    """Run the `nvidia-smi` on PATH."""
    try:
        completed = subprocess.run(
            ["nvidia-smi", *arguments], capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise Unreachable("there is no nvidia-smi on PATH") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreachable(f"nvidia-smi does not answer: {clean(str(error), 100)}") from None
    return completed.stdout + completed.stderr


class NvidiaSmiSource:
    """Implements `GpuSource`: one report serves all GPUs until it is too old."""

    def __init__(self, run: Run, name: str, every_s: float = 1.0) -> None:
        self._run = run
        self._name = name
        self._every_s = every_s
        self._lock = threading.Lock()
        self._report: Report | None = None
        self._read_at = 0.0
        self._gpus: tuple[Gpu, ...] = ()

    def _look(self, max_age_s: float) -> Report:
        with self._lock:
            if self._report is None or time.monotonic() - self._read_at > max_age_s:
                taken_at = time.time()
                output = self._run(REPORT)
                listing = self._run(LISTING) if "<mig_device>" in output else ""
                self._report, self._read_at = parse(output, listing, taken_at), time.monotonic()
            return self._report

    def inventory(self) -> GpuInventory:
        """The GPUs of a new report."""
        try:
            report = self._look(0.0)
        except GputuiError as error:
            return GpuInventory(reason=error.what, fix=error.fix)
        gpus = tuple(reading.gpu for reading in report.readings)
        self._gpus = gpus
        if not gpus:
            return GpuInventory(reason="nvidia-smi lists no GPU", fix="look at `dmesg`")
        return GpuInventory(gpus=gpus, driver_version=report.driver_version, source=self._name, every_s=self._every_s)

    def has_changed(self) -> bool:
        """Whether the latest report lists different GPUs than the last inventory."""
        try:
            report = self._look(self._every_s)
        except GputuiError:
            return False  # the readings report this; the inventory stays
        return tuple(reading.gpu for reading in report.readings) != self._gpus

    def read(self, gpu: Gpu) -> Reading:
        """The values of one GPU in the latest report, without its processes."""
        taken_at = time.time()
        try:
            reading = self._reading(gpu)
        except GputuiError as error:
            return Reading(gpu=gpu, taken_at=taken_at, state="unknown", reason=error.what)
        if reading is None:
            reason = "it is not listed any more"
            return Reading(
                gpu=gpu, taken_at=taken_at, state="lost", reason=reason, memory_total_mib=gpu.memory_total_mib
            )
        return replace(reading, gpu=gpu, processes=None, details=None)

    def processes(self, gpu: Gpu) -> tuple[GpuProcess, ...] | None:
        """Its processes in the latest report."""
        try:
            reading = self._reading(gpu)
        except GputuiError:
            return None
        return reading.processes if reading else None

    def details(self, gpu: Gpu) -> GpuDetails | None:
        """The details in the latest report."""
        try:
            reading = self._reading(gpu)
        except GputuiError:
            return None
        return reading.details if reading else None

    def traffic(self, gpu: Gpu) -> LinkTraffic | None:
        """Not available: reports do not contain it."""
        del gpu
        return None

    def _reading(self, gpu: Gpu) -> Reading | None:
        report = self._look(0.9 * self._every_s)
        return next((reading for reading in report.readings if reading.gpu.uuid == gpu.uuid), None)
