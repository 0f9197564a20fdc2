"""Readings from nvidia-smi, where NVML is out of reach."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gputui.domain.errors import Unreachable
from gputui.gpus.nvidia.nvidia_smi import NvidiaSmiSource, parse
from tests.lab.driver import Driver, StandInGpu, build_library, uuid_of
from tests.lab.engine import as_user

SMI = Path(__file__).resolve().parents[1] / "lab/smi.py"

OLDER = """<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v11.dtd">
<nvidia_smi_log><driver_version>470.223.02</driver_version>
<gpu id="00000000:01:00.0"><product_name>NVIDIA GeForce GTX 1050</product_name><uuid>GPU-a</uuid>
<minor_number>0</minor_number><mig_mode><current_mig>N/A</current_mig></mig_mode><mig_devices>None</mig_devices>
<fb_memory_usage><total>2000 MiB</total><used>10 MiB</used><free>1990 MiB</free></fb_memory_usage>
<utilization><gpu_util>N/A</gpu_util></utilization><temperature><gpu_temp>30 C</gpu_temp></temperature>
<power_readings><power_draw>N/A</power_draw><enforced_power_limit>75.00 W</enforced_power_limit></power_readings>
<clocks_throttle_reasons><clocks_throttle_reason_sw_thermal_slowdown>Active</clocks_throttle_reason_sw_thermal_slowdown>
<clocks_throttle_reason_gpu_idle>Active</clocks_throttle_reason_gpu_idle></clocks_throttle_reasons>
<processes></processes></gpu></nvidia_smi_log>"""


def test_an_older_driver_tells_the_same_under_other_names_and_what_it_does_not_tell_is_unknown() -> None:
    (one,) = parse(OLDER, "", 1000.0).readings
    assert (one.memory_total_mib, one.memory_used_mib, one.memory_reserved_mib) == (2000, 10, None)
    assert (one.utilization_percent, one.power_w, one.power_limit_w, one.clock_sm_mhz) == (None, None, 75.0, None)
    assert one.throttle_reasons == ("hot",), "idle is no limit"
    assert one.processes == ()


def test_a_gpu_that_fell_off_the_bus_is_told_before_the_report() -> None:
    text = "Unable to determine the device handle for GPU 0000:C1:00.0: Unknown Error\n" + OLDER
    assert parse(text, "", 1000.0).driver_version == "470.223.02"


@pytest.mark.parametrize(
    "text", ["", "Failed to initialize NVML: Driver/library version mismatch\n", '<?xml version="1.0" ?><broken']
)
def test_what_is_no_report_is_said_in_one_line(text: str) -> None:
    with pytest.raises(Unreachable, match="nvidia-smi") as refused:
        parse(text, "", 0.0)
    assert "\n" not in refused.value.what
    found = NvidiaSmiSource(lambda _: text, "nvidia-smi").inventory()
    assert found.gpus == ()
    assert found.reason == refused.value.what


def test_one_report_serves_all_gpus() -> None:
    asked = []

    def run(arguments: Any) -> str:
        asked.append(tuple(arguments))
        return OLDER

    source = NvidiaSmiSource(run, "nvidia-smi", every_s=60.0)
    (gpu,) = source.inventory().gpus
    for _ in range(5):
        assert source.read(gpu).state == "ok"
        assert source.processes(gpu) == ()
    assert not source.has_changed()
    assert asked == [("-q", "-x")]


def test_a_gpu_that_is_not_listed_any_more_is_lost() -> None:
    reports = [OLDER, OLDER.replace("GPU-a", "GPU-b")]
    source = NvidiaSmiSource(lambda _: reports.pop(0) if len(reports) > 1 else reports[0], "nvidia-smi", every_s=0.0)
    (gpu,) = source.inventory().gpus
    assert source.read(gpu).state == "lost"
    assert source.has_changed()


@pytest.fixture
def server() -> Iterator[Driver]:
    with tempfile.TemporaryDirectory(prefix="gputui-smi-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        build_library(folder)
        (folder / "smi").write_text(
            f'#!/bin/sh\nexec /usr/bin/python3 -I -S {folder}/smi.py {folder}/nvml.state "$@"\n'
        )
        (folder / "smi").chmod(0o755)
        (folder / "smi.py").write_text(SMI.read_text())
        (folder / "bin").mkdir()
        (folder / "bin/nvidia-smi").symlink_to(folder / "smi")
        driver = Driver(folder, [StandInGpu(index, uuid_of(index), mig=int(index == 1)) for index in range(3)])
        driver.extra = [
            f"mig\t1\t{place}\tuuid=MIG-{place}\tname=MIG 3g.40gb\tgi={place + 1}\tci=0\ttotal=40192\tbase=4"
            for place in range(2)
        ]
        driver.strangers = [("0", os.getpid(), 1024), ("1:1", os.getpid(), 512)]
        driver.write()
        driver.change(2, base=40_000, util=12, temp=44, power=150_000, clock=1980)
        yield driver


@pytest.mark.lab
def test_it_tells_the_same_as_nvml_value_by_value(server: Driver, installed: Path) -> None:
    def gpus(**variables: str) -> list[dict[str, Any]]:
        environment = {"PATH": f"{server.folder}/bin:/usr/bin:/bin", "HOME": "/nonexistent", **variables}
        environment["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"
        command = as_user([str(installed / "gputui"), "gpus", "--json"])
        done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout)["gpus"])

    by_nvml, by_smi = gpus(LD_LIBRARY_PATH=str(server.folder)), gpus()
    assert len(by_smi) == len(by_nvml) == 5
    not_told = {"compute_capability", "memory_bandwidth_gb_s", "cores", "max_sm_clock_mhz", "island", "numa_node"}
    for nvml, smi in zip(by_nvml, by_smi, strict=True):
        for process in (*nvml["processes"], *smi["processes"]):
            del process["sm_percent"]
        told, more = smi.pop("details"), nvml.pop("details")
        if told is not None:
            assert told["slowdown_c"] == 87
            told = {key: value for key, value in told.items() if value is not None and key != "taken_at"}
            assert told == {key: more[key] for key in told}
        for key in nvml.keys() - not_told - {"age_s", "name"}:
            assert smi[key] == nvml[key] or (nvml["parent_uuid"] and smi[key] is None), (key, nvml[key], smi[key])
        assert smi["compute_capability"] is None


@pytest.mark.lab
def test_the_source_is_named(server: Driver, installed: Path) -> None:
    environment = {"PATH": f"{server.folder}/bin:/usr/bin:/bin", "HOME": "/nonexistent"}
    environment["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"
    command = [str(installed / "gputui"), "doctor"]
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
    assert "NVML is out of reach, so readings come from nvidia-smi" in done.stdout
