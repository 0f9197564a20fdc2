"""Readings from `nvidia-smi -q -x`, where NVML itself is out of reach. What it does not tell stays unknown."""

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
"""Runs `nvidia-smi` with these arguments; its output. Raises `Unreachable` where that cannot be done."""

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
class Seen:
    """One report: the driver's version, and of every GPU its reading with its processes."""

    driver_version: str | None
    readings: tuple[Reading, ...]


def parse(report: str, listing: str, taken_at: float) -> Seen:
    """What a report says; `listing` is that of `nvidia-smi -L`, which names MIG instances where the report does not.

    Raises:
        Unreachable: it is none.
    """
    from xml.etree import ElementTree  # noqa: PLC0415 - where NVML answers nobody needs it

    # Of a GPU that fell off the bus a line of plain text tells before the report begins.
    start = report.find("<?xml")
    if start < 0:
        what = clean(report.strip().splitlines()[0] if report.strip() else "it says nothing", 200)
        raise Unreachable(f"nvidia-smi: {what}", "look at `dmesg`")
    try:
        root = ElementTree.fromstring(report[start : start + SIZE_LIMIT])
    except ElementTree.ParseError as error:
        raise Unreachable(f"nvidia-smi gave a report that is not understood: {clean(str(error), 80)}") from None
    uuids = _instances(listing)
    readings: list[Reading] = []
    for index, element in enumerate(root.findall("gpu")):
        readings += _gpu(index, element, uuids, taken_at)
    return Seen(_text(root, "driver_version"), tuple(readings))


def _instances(listing: str) -> dict[tuple[int, int], str]:
    found, parent = {}, -1
    for line in listing.splitlines():
        if match := _GPU.match(line):
            parent = int(match[1])
        elif match := _INSTANCE.match(line):
            found[parent, int(match[1])] = clean(match[2], 80)
    return found


def _gpu(index: int, element: "Element", uuids: Mapping[tuple[int, int], str], at: float) -> list[Reading]:
    uuid = _text(element, "uuid")
    if uuid is None:
        gpu = Gpu(uuid=f"lost-{index}", index=index, name="unknown GPU", present=False)
        return [Reading(gpu=gpu, taken_at=at, state="lost", reason="it does not answer")]
    cut = _text(element, "mig_mode/current_mig") == "Enabled"
    whole = Gpu(
        uuid=uuid,
        index=index,
        name=_text(element, "product_name") or "unknown GPU",
        pci_bus_id=_text(element, "pci/pci_bus_id"),
        minor=_whole(element, "minor_number"),
        memory_total_mib=_whole(element, "fb_memory_usage/total"),
        mig_enabled=cut,
        max_sm_clock_mhz=_whole(element, "max_clocks/sm_clock"),
    )
    processes = element.findall("processes/process_info")
    own = [one for one in processes if not cut or _whole(one, "gpu_instance_id") is None]
    reading = replace(
        _memory(whole, element, at),
        utilization_percent=_whole(element, "utilization/gpu_util"),
        temperature_c=_whole(element, "temperature/gpu_temp"),
        power_w=_first(element, _power("instant_power_draw", "average_power_draw", "power_draw")),
        power_limit_w=_first(element, _power("enforced_power_limit", "current_power_limit", "power_limit")),
        clock_sm_mhz=_whole(element, "clocks/sm_clock"),
        throttle_reasons=_reasons(element),
        processes=_processes(own) if _lists_processes(element) else None,
        details=_details(element, at),
    )
    found = [reading]
    for one in element.findall("mig_devices/mig_device") if cut else []:
        place = _whole(one, "index")
        name = _text(one, "uuid") or (None if place is None else uuids.get((index, place)))
        if place is None or name is None:
            continue  # it cannot be given to anybody without a name
        instance = Gpu(
            uuid=name,
            index=index,
            mig_index=place,
            parent_uuid=uuid,
            name=f"{whole.name} MIG",
            pci_bus_id=whole.pci_bus_id,
            memory_total_mib=_whole(one, "fb_memory_usage/total"),
        )
        slot = _whole(one, "gpu_instance_id")
        its = [process for process in processes if _whole(process, "gpu_instance_id") == slot]
        found.append(
            replace(_memory(instance, one, at), processes=_processes(its) if _lists_processes(element) else None)
        )
    return found


def _details(element: "Element", at: float) -> GpuDetails:
    errors = "ecc_errors/volatile/"
    uncorrected = [_whole(element, errors + name) for name in ("sram_uncorrectable", "dram_uncorrectable")]
    known = [one for one in uncorrected if one is not None]
    link = "pci/pci_gpu_link_info/"
    return GpuDetails(
        taken_at=at,
        performance_state=_text(element, "performance_state"),
        fan_percent=_whole(element, "fan_speed"),
        clock_sm_max_mhz=_whole(element, "max_clocks/sm_clock"),
        clock_memory_mhz=_whole(element, "clocks/mem_clock"),
        memory_busy_percent=_whole(element, "utilization/memory_util"),
        memory_temperature_c=_whole(element, "temperature/memory_temp"),
        slowdown_c=_whole(element, "temperature/gpu_temp_slow_threshold"),
        encoder_percent=_whole(element, "utilization/encoder_util"),
        decoder_percent=_whole(element, "utilization/decoder_util"),
        pcie_generation=_whole(element, link + "pcie_gen/current_link_gen"),
        pcie_generation_max=_whole(element, link + "pcie_gen/max_link_gen"),
        pcie_width=_whole_of(_text(element, link + "link_widths/current_link_width")),
        pcie_width_max=_whole_of(_text(element, link + "link_widths/max_link_width")),
        pcie_replays=_whole(element, "pci/replay_counter"),
        ecc=_switch(element, "ecc_mode/current_ecc"),
        ecc_uncorrected=sum(known) if known else None,
        remap_pending=_switch(element, "remapped_rows/remapped_row_pending"),
        remap_failed=_switch(element, "remapped_rows/remapped_row_failure"),
        persistence=_switch(element, "persistence_mode"),
    )


def _whole_of(text: str | None) -> int | None:
    return whole_number((text or "").removesuffix("x"), least=0)


def _switch(element: "Element", path: str) -> bool | None:
    return {"Enabled": True, "Yes": True, "Disabled": False, "No": False}.get(_text(element, path) or "")


def _memory(gpu: Gpu, element: "Element", at: float) -> Reading:
    return Reading(
        gpu=gpu,
        taken_at=at,
        memory_total_mib=_whole(element, "fb_memory_usage/total"),
        memory_used_mib=_whole(element, "fb_memory_usage/used"),
        memory_reserved_mib=_whole(element, "fb_memory_usage/reserved"),
        memory_free_mib=_whole(element, "fb_memory_usage/free"),
    )


def _power(*names: str) -> list[str]:
    """The names changed with the drivers: R535 put them into another element, R570 split the draw."""
    return [f"{folder}/{name}" for name in names for folder in ("gpu_power_readings", "power_readings")]


def _reasons(element: "Element") -> tuple[str, ...]:
    listed = [*element.findall("clocks_event_reasons/*"), *element.findall("clocks_throttle_reasons/*")]
    active = [one.tag.partition("_reason_")[2] for one in listed if (one.text or "").strip() == "Active"]
    return tuple(dict.fromkeys(_REASONS[name] for name in active if name in _REASONS))


def _lists_processes(element: "Element") -> bool:
    """Where they cannot be listed there is no list, or N/A stands in its place."""
    found = element.find("processes")
    return found is not None and (found.text or "").strip() != "N/A"


def _processes(elements: Sequence["Element"]) -> tuple[GpuProcess, ...]:
    found: dict[int, int | None] = {}
    for element in elements:
        pid = _whole(element, "pid")
        if pid is not None:
            found[pid] = max((one for one in (found.get(pid), _whole(element, "used_memory")) if one), default=None)
    return tuple(identify(GpuProcess(pid=pid, memory_mib=memory)) for pid, memory in sorted(found.items()))


def _text(element: "Element", path: str) -> str | None:
    found = element.find(path)
    text = clean((found.text or "").strip(), 120) if found is not None else ""
    return None if text in ("", "N/A", "[N/A]", "Unknown Error", "Not Supported", "ERR!") else text


def _value(element: "Element", path: str) -> float | None:
    match = _NUMBER.match(_text(element, path) or "")
    return real_number(match[0]) if match else None


def _whole(element: "Element", path: str) -> int | None:
    value = _value(element, path)
    return None if value is None else int(value)


def _first(element: "Element", paths: Sequence[str]) -> float | None:
    return next((value for path in paths if (value := _value(element, path)) is not None), None)


def run_on_path(arguments: Sequence[str]) -> str:
    """By the `nvidia-smi` on PATH."""
    try:
        done = subprocess.run(
            ["nvidia-smi", *arguments], capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise Unreachable("there is no nvidia-smi on PATH") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreachable(f"nvidia-smi does not answer: {clean(str(error), 100)}") from None
    return done.stdout + done.stderr


class NvidiaSmiSource:
    """Implements `GpuSource`: one report serves all GPUs, for as long as it is young enough."""

    def __init__(self, run: Run, name: str, every_s: float = 1.0) -> None:
        self._run = run
        self._name = name
        self._every_s = every_s
        self._lock = threading.Lock()
        self._seen: Seen | None = None
        self._at = 0.0
        self._listed: tuple[Gpu, ...] = ()

    def _look(self, max_age_s: float) -> Seen:
        with self._lock:
            if self._seen is None or time.monotonic() - self._at > max_age_s:
                at = time.time()
                report = self._run(REPORT)
                listing = self._run(LISTING) if "<mig_device>" in report else ""
                self._seen, self._at = parse(report, listing, at), time.monotonic()
            return self._seen

    def inventory(self) -> GpuInventory:
        """The GPUs of a new report."""
        try:
            seen = self._look(0.0)
        except GputuiError as error:
            return GpuInventory(reason=error.what, fix=error.fix)
        gpus = tuple(one.gpu for one in seen.readings)
        self._listed = gpus
        if not gpus:
            return GpuInventory(reason="nvidia-smi lists no GPU", fix="look at `dmesg`")
        return GpuInventory(gpus=gpus, driver_version=seen.driver_version, source=self._name, every_s=self._every_s)

    def has_changed(self) -> bool:
        """Whether the latest report lists other GPUs than the one that was looked at."""
        try:
            now = self._look(self._every_s)
        except GputuiError:
            return False  # the readings say so; what was found stays
        return tuple(one.gpu for one in now.readings) != self._listed

    def read(self, gpu: Gpu) -> Reading:
        """The values of one GPU by the latest report, without its processes."""
        now = time.time()
        try:
            found = self._reading(gpu)
        except GputuiError as error:
            return Reading(gpu=gpu, taken_at=now, state="unknown", reason=error.what)
        if found is None:
            reason = "it is not listed any more"
            return Reading(gpu=gpu, taken_at=now, state="lost", reason=reason, memory_total_mib=gpu.memory_total_mib)
        return replace(found, gpu=gpu, processes=None, details=None)

    def processes(self, gpu: Gpu) -> tuple[GpuProcess, ...] | None:
        """Its processes by the latest report."""
        try:
            found = self._reading(gpu)
        except GputuiError:
            return None
        return found.processes if found else None

    def details(self, gpu: Gpu) -> GpuDetails | None:
        """What the latest report tells besides."""
        try:
            found = self._reading(gpu)
        except GputuiError:
            return None
        return found.details if found else None

    def traffic(self, gpu: Gpu) -> LinkTraffic | None:
        """A report does not tell."""
        del gpu
        return None

    def _reading(self, gpu: Gpu) -> Reading | None:
        seen = self._look(0.9 * self._every_s)
        return next((one for one in seen.readings if one.gpu.uuid == gpu.uuid), None)
