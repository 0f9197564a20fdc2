"""Drivers and `/proc` that say anything: what reads them crashes at nothing."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from xml.sax.saxutils import escape

import pynvml
from hypothesis import given
from hypothesis import strategies as st

from gputui.domain.gpu import GpuProcess
from gputui.gpus import processes as process_identity
from gputui.gpus.nvidia import nvml, nvml_processes, unified_memory
from gputui.gpus.nvidia.nvidia_smi import NvidiaSmiSource, parse
from gputui.gpus.nvidia.nvml import NvmlSource
from gputui.gpus.processes import container_of, identify, start_time
from gputui.gpus.topology import numa_node
from tests.junk import DIGITS, NASTY_NUMBERS, own_errors_only, tried, utf8_texts

REPORT = """<?xml version="1.0" ?><nvidia_smi_log><driver_version>{}</driver_version>
<gpu id="{}"><product_name>{}</product_name><uuid>{}</uuid><minor_number>{}</minor_number>
<mig_mode><current_mig>{}</current_mig></mig_mode><mig_devices><mig_device><index>{}</index><gpu_instance_id>{}
</gpu_instance_id><fb_memory_usage><total>{}</total></fb_memory_usage></mig_device></mig_devices>
<fb_memory_usage><total>{}</total><used>{}</used><reserved>{}</reserved><free>{}</free></fb_memory_usage>
<utilization><gpu_util>{}</gpu_util></utilization><temperature><gpu_temp>{}</gpu_temp></temperature>
<gpu_power_readings><instant_power_draw>{}</instant_power_draw></gpu_power_readings>
<pci><pci_bus_id>{}</pci_bus_id><pci_gpu_link_info><link_widths><current_link_width>{}</current_link_width></link_widths>
</pci_gpu_link_info></pci><ecc_errors><volatile><sram_uncorrectable>{}</sram_uncorrectable></volatile></ecc_errors>
<clocks_event_reasons><clocks_event_reason_sw_power_cap>{}</clocks_event_reason_sw_power_cap></clocks_event_reasons>
<processes><process_info><pid>{}</pid><used_memory>{}</used_memory><gpu_instance_id>{}</gpu_instance_id></process_info>
</processes></gpu></nvidia_smi_log>"""
GOOD = ["Enabled", "GPU-a", "1", "0", "N/A", "81559 MiB", "Active", "16x", "30 C", "1e999 W", "-1 MiB", f"{DIGITS} MiB"]

said = st.one_of(st.sampled_from(GOOD), utf8_texts, utf8_texts.map(lambda text: f"{text} MiB"))


@tried(80)
@given(told=st.lists(said.map(escape), min_size=23, max_size=23), spoilt=st.integers(0, 30))
def test_a_report_of_nvidia_smi_of_junk_crashes_nothing(told: list[str], spoilt: int) -> None:
    """What is no number is unknown."""
    report = REPORT.format(*told)
    report = report if spoilt else report.replace("</uuid>", "")
    with own_errors_only():
        parse(report, "", 1000.0)
    with own_errors_only():
        source = NvidiaSmiSource(lambda _: report, "nvidia-smi")
        for one in source.inventory().gpus:
            assert (source.read(one), source.details(one), source.processes(one)) is not None


@tried(60)
@given(report=utf8_texts | st.binary(max_size=100).map(lambda raw: raw.decode(errors="replace")), begun=st.booleans())
def test_what_is_no_report_of_nvidia_smi_is_refused_in_words(report: str, *, begun: bool) -> None:
    """Whatever text it is."""
    with own_errors_only():
        parse(f"<?xml{report}" if begun else report, "", 0.0)


ROOT = '<?xml version="1.0" ?><nvidia_smi_log></nvidia_smi_log>'


@tried(60)
@given(index=st.sampled_from(NASTY_NUMBERS), device=st.sampled_from(NASTY_NUMBERS), name=utf8_texts)
def test_a_listing_of_nvidia_smi_of_junk_crashes_nothing(index: str, device: str, name: str) -> None:
    """Its numbers are numbers, or are passed over."""
    listing = f"GPU {index}: NVIDIA H100 (UUID: GPU-a)\n  MIG 1g.10gb     Device  {device}: (UUID: MIG-{name})\n{name}"
    with own_errors_only():
        parse(ROOT, listing, 0.0)


CODES = [1, 2, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16, 18, 25, 26, 28, 999, 12345]
sizes = st.sampled_from([0, 1, 2, 80, 100, 101, 2**20, 2**31 - 1, 2**32 - 1, 2**63, 2**64 - 1]) | st.integers(
    0, 2**64 - 1
)
signed = st.sampled_from([-1, 0, 1, 3, 2**31 - 1, -(2**31), 17])
STRINGS = ("nvmlDeviceGetUUID", "nvmlDeviceGetName", "nvmlSystemGetDriverVersion")
COUNTS = ("nvmlDeviceGetCount", "nvmlDeviceGetMaxMigDeviceCount")
PAIRS = (
    "nvmlDeviceGetMigMode",
    "nvmlDeviceGetCudaComputeCapability",
    "nvmlDeviceGetEncoderUtilization",
    "nvmlDeviceGetDecoderUtilization",
    "nvmlDeviceGetEccMode",
)
LISTS = ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses")


class Driver:
    """Stands in for the binding: its constants and errors, and functions that answer with anything of their types."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvml") or name.startswith("nvmlEventType") or name == "nvmlMemory_v2":
            return getattr(pynvml, name)

        def call(*arguments: Any, **named: Any) -> Any:
            return self._answer(name)

        call.__name__ = name
        return call

    def _answer(self, name: str) -> Any:  # noqa: PLR0912 - one branch a type
        draw: Callable[[st.SearchStrategy[Any]], Any] = self._data.draw
        if name == "nvmlEventSetCreate":  # it is called in a thread of its own
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        if name not in ("nvmlInit", "nvmlDeviceGetCount") and draw(st.integers(0, 7)) == 0:
            raise pynvml.NVMLError(draw(st.sampled_from(CODES)))
        if name in STRINGS:
            if draw(st.integers(0, 9)) == 0:
                raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
            return draw(utf8_texts)
        if name in COUNTS:
            return draw(st.integers(0, 3))
        if name in PAIRS:
            return [draw(signed), draw(signed)]
        if name in LISTS:
            return [
                SimpleNamespace(pid=draw(sizes), usedGpuMemory=draw(st.none() | sizes))
                for _ in range(draw(st.integers(0, 2)))
            ]
        match name:
            case "nvmlDeviceGetMemoryInfo":
                return SimpleNamespace(total=draw(sizes), used=draw(sizes), free=draw(sizes), reserved=draw(sizes))
            case "nvmlDeviceGetUtilizationRates":
                return SimpleNamespace(gpu=draw(sizes), memory=draw(sizes))
            case "nvmlDeviceGetPciInfo" | "nvmlDeviceGetNvLinkRemotePciInfo":
                return SimpleNamespace(busId=draw(utf8_texts))
            case "nvmlDeviceGetRemappedRows":
                return [draw(sizes) for _ in range(4)]
            case "nvmlDeviceGetProcessUtilization":
                return [SimpleNamespace(timeStamp=draw(sizes), smUtil=draw(sizes), pid=draw(sizes))]
            case "nvmlDeviceGetFieldValues":
                value = SimpleNamespace(uiVal=draw(sizes), ulVal=1, ullVal=draw(sizes), sllVal=-1, siVal=-1)
                return [
                    SimpleNamespace(
                        nvmlReturn=draw(st.sampled_from([0, 3, 999])), valueType=draw(st.integers(0, 8)), value=value
                    )
                ]
        return draw(sizes) if draw(st.booleans()) else draw(signed)


@tried(80)
@given(data=st.data())
def test_a_driver_that_says_anything_crashes_nothing(data: st.DataObject) -> None:
    """Names that are no text, figures of any size, and any error at any moment."""
    driver = Driver(data)
    lists = tuple(getattr(driver, name) for name in LISTS)
    modules = [
        f"gputui.gpus.nvidia.{name}.pynvml"
        for name in ("nvml", "nvml_details", "nvml_topology", "nvml_processes", "xid_watch")
    ]
    patches: list[Any] = [patch(name, driver) for name in modules]
    patches += [patch.object(nvml_processes, "_LISTS", lists), patch.object(nvml, "identify", lambda one: one)]
    for one in patches:
        one.start()
    try:
        with own_errors_only():
            source = NvmlSource()
            for _ in range(2):
                found = source.inventory()
                source.has_changed()
                for gpu in found.gpus[:3]:
                    try:
                        assert (source.read(gpu), source.processes(gpu)) is not None
                        assert (source.details(gpu), source.traffic(gpu)) is not None
                    except pynvml.NVMLError_Uninitialized:
                        pass  # it is told so again by whoever asks for the reading
    finally:
        for one in reversed(patches):
            one.stop()


CGROUPS = [
    "0::/docker/" + "a" * 64,
    "0::/system.slice/docker-" + "b" * 64 + ".scope",
    "1:name=systemd:/",
    "::",
    "0::/../" + "c" * 64,
]


@tried(80)
@given(lines=st.lists(st.sampled_from(CGROUPS) | utf8_texts, max_size=4))
def test_cgroups_of_junk_crash_nothing(lines: list[str]) -> None:
    """A container's id is one, or there is none."""
    with own_errors_only():
        found = container_of("\n".join(lines))
        assert found is None or len(found) == 64


stats = st.one_of(
    st.binary(max_size=80),
    utf8_texts.map(lambda text: f"7 (a) b) S {'1 ' * 18}{text} 5".encode()),
    st.integers(0, 4300).map(lambda size: f"7 (a) S {'1 ' * 18}{'9' * size} 5".encode()),
    st.just(b"7 (\xff) S " + b"1 " * 40),
)
boots = st.one_of(
    st.binary(max_size=40), utf8_texts.map(lambda text: f"cpu 1\nbtime {text}\n".encode()), st.just(b"btime 5\n")
)


@tried(80)
@given(stat=stats, boot=boots, command=st.binary(max_size=60), cgroup=st.binary(max_size=60))
def test_a_process_of_junk_crashes_nothing(
    tmp_path: Path, stat: bytes, boot: bytes, command: bytes, cgroup: bytes
) -> None:
    """What its files do not tell is unknown."""
    folder = tmp_path / "7"
    folder.mkdir(exist_ok=True)
    (tmp_path / "stat").write_bytes(boot)
    for name, raw in (("stat", stat), ("cmdline", command), ("comm", command), ("cgroup", cgroup)):
        (folder / name).write_bytes(raw)
    process_identity._identity.cache_clear()
    process_identity._boot_time.cache_clear()
    try:
        with (
            patch.object(process_identity, "_PROC", tmp_path),
            patch.object(process_identity, "sees_host_processes", lambda: True),
            own_errors_only(),
        ):
            start_time(7)
            identify(GpuProcess(pid=7, memory_mib=None))
    finally:
        process_identity._identity.cache_clear()
        process_identity._boot_time.cache_clear()


@tried(60)
@given(told=utf8_texts, raw=st.binary(max_size=40))
def test_a_memory_of_junk_of_the_machine_crashes_nothing(tmp_path: Path, told: str, raw: bytes) -> None:
    """It is unknown then."""
    path = tmp_path / "meminfo"
    for text in (
        raw,
        f"MemTotal: {told} kB\nMemAvailable: 5 kB\n".encode(),
        f"MemTotal:\nMemAvailable:{told}".encode(),
    ):
        path.write_bytes(text)
        with patch.object(unified_memory, "_MEMINFO", path), own_errors_only():
            unified_memory.machine_memory()


@tried(50)
@given(bus=utf8_texts)
def test_a_bus_id_of_junk_has_no_numa_node(bus: str) -> None:
    """Whatever path it would make."""
    with own_errors_only():
        numa_node(bus)
