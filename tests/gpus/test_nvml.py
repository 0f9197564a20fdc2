"""Readings through the real binding, from the stand-in library."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.lab.driver import Driver, StandInGpu, build_library, uuid_of
from tests.lab.engine import as_user

LOST = 15  # NVML_ERROR_GPU_IS_LOST

pytestmark = pytest.mark.lab  # it compiles C, and the machine that has no lab need not have a compiler


@pytest.fixture(scope="module")
def library() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gputui-nvml-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        build_library(Path(name))
        yield Path(name)


@pytest.fixture
def driver(library: Path) -> Driver:
    made = Driver(library, [StandInGpu(index, uuid_of(index)) for index in range(3)])
    made.write()
    return made


@pytest.fixture(autouse=True)
def _command(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUTUI_COMMAND", str(installed / "gputui"))


def gputui(driver: Driver, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As an ordinary user, who has no engine."""
    environment = {"LD_LIBRARY_PATH": str(driver.folder), "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    environment["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"
    return subprocess.run(
        as_user([os.environ["GPUTUI_COMMAND"], *arguments]),
        env=environment, cwd="/", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def gpus(driver: Driver) -> list[dict[str, Any]]:
    done = gputui(driver, "gpus", "--json")
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout)["gpus"])


def test_every_value_of_a_card_is_read(driver: Driver) -> None:
    driver.change(1, base=5000, util=93, temp=61, power=412_000, clock=1980)
    driver.strangers = [("1", os.getpid(), 1024)]
    driver.write()
    one = gpus(driver)[1]
    assert one["age_s"] < 5
    process = one.pop("processes")[0]
    assert (process["pid"], process["memory_mib"], process["service"]) == (os.getpid(), 1024, None)
    assert "python" in process["command"]
    one.pop("age_s")
    details = one.pop("details")
    one["numa_node"] = None
    one["island"] = None  # that of this machine's NUMA node, if it has one for such an address
    assert one == {
        "index": 1, "mig_index": None, "uuid": uuid_of(1), "parent_uuid": None, "name": "NVIDIA H100 80GB HBM3",
        "pci_bus_id": "00000000:2C:00.0", "compute_capability": "9.0", "memory_total_mib": 81559,
        "memory_used_mib": 6024, "memory_reserved_mib": 551, "memory_free_mib": 81559 - 551 - 6024,
        "utilization_percent": 93, "temperature_c": 61, "power_w": 412.0, "power_limit_w": 700.0,
        "clock_sm_mhz": 1980, "throttle_reasons": [], "mig_enabled": False, "state": "ok", "reason": None,
        "memory_bandwidth_gb_s": 3352, "island": None, "unified_memory": False,
        "numa_node": None,
    }  # fmt: skip
    assert (details["slowdown_c"], details["performance_state"], details["pcie_width"]) == (87, "P0", 16)
    assert (details["ecc_uncorrected"], details["remap_pending"], details["recovery"]) == (0, False, "none")
    assert details["fan_percent"] is None
    assert details["faults"] == []
    assert process["sm_percent"] == 93


def test_faults_of_memory_and_driver_are_told_in_words(driver: Driver) -> None:
    driver.change(1, ecc=2, remap=1, recovery=1, width=8)
    found = gpus(driver)
    assert found[1]["details"]["faults"] == [
        "needs a reset", "2 uncorrected ECC errors", "rows wait for a reset to be remapped",
    ]  # fmt: skip
    assert found[0]["details"]["faults"] == []
    said = json.loads(gputui(driver, "findings", "--json").stdout)["findings"]
    assert [one["code"] for one in said] == ["gpu-unwell"]
    assert said[0]["text"].startswith("GPU 1 is unhealthy: needs a reset")


def test_links_are_told_as_nvidia_smi_names_them(driver: Driver) -> None:
    driver.change(0, links="switch")
    driver.change(1, links="switch")
    driver.change(2, numa=1)
    links = json.loads(gputui(driver, "gpus", "--json").stdout)["links"]
    assert [one["link"] for one in links] == ["NV18", "SYS", "SYS"]


def test_what_a_gpu_does_not_support_is_unknown_and_not_zero(driver: Driver) -> None:
    calls = (
        "nvmlDeviceGetUtilizationRates",
        "nvmlDeviceGetPowerUsage",
        "nvmlDeviceGetTemperature",
        "nvmlDeviceGetClockInfo",
    )
    driver.extra = [f"fail\t0\t{call}\t3" for call in calls]
    driver.write()
    first, second, _ = gpus(driver)
    assert (first["utilization_percent"], first["power_w"], first["temperature_c"], first["clock_sm_mhz"]) == (
        None,
    ) * 4
    assert (first["state"], second["utilization_percent"]) == ("ok", 0)


def test_without_memory_v2_the_first_version_serves(driver: Driver) -> None:
    driver.extra = ["fail\t*\tnvmlDeviceGetMemoryInfo_v2\t13"]
    driver.change(0, base=1000)
    one = gpus(driver)[0]
    assert (one["memory_used_mib"], one["memory_reserved_mib"], one["memory_free_mib"]) == (1551, None, 80008)


def test_a_lost_gpu_spoils_its_own_card_alone(driver: Driver) -> None:
    driver.extra = ["fail\t1\t*\t15"]
    driver.write()
    states = [one["state"] for one in gpus(driver)]
    assert states == ["ok", "lost", "ok"]


def test_a_call_that_hangs_spoils_its_own_card_alone(driver: Driver) -> None:
    driver.extra = ["delay\t2\tnvmlDeviceGetPowerUsage\t-1"]
    driver.write()
    states = [one["state"] for one in gpus(driver)]
    assert states == ["ok", "ok", "unknown"]


def test_mig_instances_are_gpus_of_their_own(driver: Driver) -> None:
    driver.change(1, mig=1)
    driver.extra = [f"mig\t1\t{n}\tuuid=MIG-{n}\tname=MIG 3g.40gb\tgi={n}\tci=0\ttotal=40192" for n in range(2)]
    driver.write()
    found = gpus(driver)
    assert [(one["index"], one["mig_index"]) for one in found] == [(0, None), (1, None), (1, 0), (1, 1), (2, None)]
    assert found[1]["mig_enabled"]
    assert found[2]["parent_uuid"] == uuid_of(1)
    assert found[2]["utilization_percent"] is None


class Watching:
    """One gputui that goes on reading, while the driver changes under it."""

    def __init__(self, driver: Driver) -> None:
        environment = {"LD_LIBRARY_PATH": str(driver.folder), "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
        environment["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"
        command = as_user([os.environ["GPUTUI_COMMAND"], "--interval", "0.25", "gpus", "--json", "--watch"])
        self.process = subprocess.Popen(command, env=environment, cwd="/", stdout=subprocess.PIPE, text=True)

    def until(self, condition: Callable[[list[dict[str, Any]]], bool], limit_s: float = 20) -> list[dict[str, Any]]:
        """The GPUs as soon as they are so."""
        end = time.monotonic() + limit_s
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found = list(json.loads(line)["gpus"])
            if condition(found):
                return found
            assert time.monotonic() < end, found
        raise AssertionError("it ended")


@pytest.fixture
def watching(driver: Driver) -> Iterator[Watching]:
    one = Watching(driver)
    with one.process:
        yield one
        one.process.kill()


def test_a_gpu_without_memory_of_its_own_tells_the_machines_and_says_so(driver: Driver) -> None:
    driver.change(0, name="NVIDIA GB10")
    driver.extra = [
        f"fail\t{index}\tnvmlDeviceGetMemoryInfo{version}\t3" for index in (0, 1) for version in ("", "_v2")
    ]
    driver.write()
    shared, unknown, _ = gpus(driver)
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    assert shared["unified_memory"]
    assert shared["memory_total_mib"] == int(lines["MemTotal"].split()[0]) // 1024
    assert 0 < shared["memory_free_mib"] < shared["memory_total_mib"]
    assert (unknown["unified_memory"], unknown["memory_total_mib"], unknown["memory_free_mib"]) == (False, None, None)
    assert "GiB unified" in gputui(driver, "gpus").stdout


def test_a_card_that_supports_little_is_shown_with_what_it_tells(driver: Driver) -> None:
    calls = (
        "PowerUsage", "EnforcedPowerLimit", "UtilizationRates", "ComputeRunningProcesses_v3", "Temperature",
        "TemperatureV", "GraphicsRunningProcesses_v3", "MPSComputeRunningProcesses_v3", "ClockInfo",
    )  # fmt: skip
    driver.extra = [f"fail\t1\tnvmlDeviceGet{call}\t3" for call in calls]
    driver.write()
    one = gpus(driver)[1]
    assert one["state"] == "ok"
    unknown = ("utilization_percent", "temperature_c", "power_w", "power_limit_w", "clock_sm_mhz", "processes")
    assert {key: one[key] for key in unknown} == dict.fromkeys(unknown)
    assert one["memory_total_mib"] == 81559


def test_turning_mig_on_and_off_is_noticed(driver: Driver, watching: Watching) -> None:
    watching.until(lambda found: [one["state"] for one in found] == ["ok"] * 3)
    driver.change(1, mig=1)
    driver.extra = [f"mig\t1\t{n}\tuuid=MIG-{n}\tname=MIG 3g.40gb\tgi={n}\tci=0\ttotal=40192" for n in range(2)]
    driver.write()
    found = watching.until(lambda found: len(found) == 5)
    assert [one["uuid"] for one in found if one["parent_uuid"] == uuid_of(1)] == ["MIG-0", "MIG-1"]
    driver.extra = driver.extra[1:]
    driver.write()
    watching.until(lambda found: [one["uuid"] for one in found if one["parent_uuid"]] == ["MIG-1"])
    driver.extra = []
    driver.change(1, mig=0)
    watching.until(
        lambda found: [(one["index"], one["mig_enabled"]) for one in found] == [(n, False) for n in range(3)]
    )


def test_a_lost_gpu_comes_back_by_itself_and_the_others_go_on(driver: Driver, watching: Watching) -> None:
    watching.until(lambda found: [one["state"] for one in found] == ["ok"] * 3)
    driver.extra = [f"fail\t2\t*\t{LOST}"]
    driver.write()
    found = watching.until(lambda found: found[2]["state"] == "lost")
    assert [one["state"] for one in found[:2]] == ["ok", "ok"]
    assert found[2]["uuid"] == uuid_of(2), "it is known by what it was"
    driver.change(0, base=7000)
    watching.until(lambda found: found[0]["memory_used_mib"] == 7000 and found[2]["state"] == "lost")
    driver.extra = []
    driver.write()
    watching.until(lambda found: [one["state"] for one in found] == ["ok"] * 3)


def test_gpus_are_known_by_uuid_when_their_order_changes(driver: Driver, watching: Watching) -> None:
    driver.change(2, base=9000)
    watching.until(lambda found: len(found) == 3 and found[2]["memory_used_mib"] == 9000)
    one, two, three = driver.gpus
    driver.gpus = [replace(three, index=0, minor=2), replace(one, index=1, minor=0), replace(two, index=2, minor=1)]
    driver.write()
    found = watching.until(lambda found: found[0]["uuid"] == uuid_of(2))
    assert [one["uuid"] for one in found] == [uuid_of(2), uuid_of(0), uuid_of(1)]
    assert found[0]["memory_used_mib"] == 9000


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (9, "the NVIDIA driver is not loaded"),
        (18, "driver and library have different versions"),
        (999, "NVML cannot be used"),
    ],
)
def test_without_a_usable_driver_the_reason_and_the_fix_are_told(driver: Driver, code: int, reason: str) -> None:
    driver.system = f"system\tdriver=580.95.05\tinit={code}"
    driver.write()
    done = gputui(driver, "gpus")
    assert done.returncode == 3
    assert f"No GPUs detected: {reason}" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 2


def test_without_the_library_it_is_said_to_be_missing(tmp_path: Path) -> None:
    done = gputui(Driver(tmp_path), "gpus")
    assert done.returncode == 3
    assert "the NVIDIA driver's library is missing (libnvidia-ml.so.1)" in done.stderr


def test_nvitop_and_gpustat_read_the_same_numbers_from_the_same_library(driver: Driver) -> None:
    driver.change(0, base=5000, util=93, temp=61, power=412_000)
    driver.change(2, base=40_000, util=12, temp=44, power=150_000)
    ours = gpus(driver)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(driver.folder)}

    def run(*command: str) -> str:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    gpustat = json.loads(run(str(Path(sys.executable).with_name("gpustat")), "--json"))["gpus"]
    assert [one["uuid"] for one in gpustat] == [one["uuid"] for one in ours]
    for theirs, mine in zip(gpustat, ours, strict=True):
        assert theirs["memory.total"] == mine["memory_total_mib"]
        assert theirs["memory.used"] == mine["memory_used_mib"]
        assert theirs["utilization.gpu"] == mine["utilization_percent"]
        assert theirs["temperature.gpu"] == mine["temperature_c"]
        assert (theirs["power.draw"], theirs["enforced.power.limit"]) == (mine["power_w"], mine["power_limit_w"])
    script = (
        "import json; from nvitop import Device; print(json.dumps([[d.uuid(), d.memory_total(), d.memory_used(), "
        "d.gpu_utilization(), d.temperature(), d.power_usage()] for d in Device.all()]))"
    )
    for theirs, mine in zip(json.loads(run(sys.executable, "-c", script)), ours, strict=True):
        uuid, total, used, utilization, temperature, power = theirs
        assert (uuid, total >> 20, used >> 20) == (mine["uuid"], mine["memory_total_mib"], mine["memory_used_mib"])
        assert (utilization, temperature, power / 1000) == (
            mine["utilization_percent"],
            mine["temperature_c"],
            mine["power_w"],
        )


def test_an_error_that_the_driver_reports_while_one_looks_is_kept(driver: Driver, watching: Watching) -> None:
    watching.until(lambda now: all(one["details"] for one in now))
    driver.change(1, xid=43)
    driver.change(2, xid=79)
    now = watching.until(lambda now: now[2]["details"]["faults"] == ["Xid 79"])
    assert now[1]["details"]["xid"] is None, "43 is the error of a program"
