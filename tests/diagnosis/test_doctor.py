"""What doctor says of a host."""

from dataclasses import replace
from typing import Any

import pytest

from gputui.diagnosis.doctor import checks
from gputui.domain.assignment import Assignments, Draft
from gputui.domain.container import EngineInfo
from gputui.domain.errors import Refusal
from gputui.domain.finding import Check, Finding
from gputui.domain.gpu import GpuInventory
from gputui.domain.injection import Capabilities, CdiDevice, Choice
from gputui.domain.snapshot import EngineStatus, Snapshot
from tests.builders import gpu, reading

GPUS = (gpu(0), gpu(1))
BY_REQUEST = Choice("nvidia", "the engine does it")


def host(**can: Any) -> Snapshot:
    made: dict[str, Any] = {"nvidia_driver": True, "cdi": False, "cgroup_driver": "cgroupfs"}
    able = Capabilities(**{**made, **can})
    info = EngineInfo(id="1", name="docker", version="28", api_version="1.51", hostname="h", capabilities=able)
    return Snapshot(
        host="h", taken_at=0.0, inventory=GpuInventory(gpus=GPUS, driver_version="580"),
        readings=tuple(reading(one) for one in GPUS), memory=(), engine=EngineStatus(info=info), services=(),
        draft=Draft(saved=Assignments(), current=Assignments()), findings=(),
    )  # fmt: skip


def found(snapshot: Snapshot, choice: Choice | Refusal = BY_REQUEST) -> dict[str, Check]:
    return {check.name: check for check in checks(snapshot, choice)}


def test_a_host_in_order_has_nothing_to_mend() -> None:
    assert {check.state for check in found(host()).values()} == {"ok"}


def test_no_driver_and_no_engine_are_errors_with_their_fix() -> None:
    bare = replace(
        host(), inventory=GpuInventory(reason="no driver", fix="install it"),
        engine=EngineStatus(reason="no engine", fix="start it"),
    )  # fmt: skip
    seen = found(bare)
    assert (seen["driver"].state, seen["driver"].fix) == ("error", "install it")
    assert (seen["engine"].state, seen["engine"].fix) == ("error", "start it")


def test_a_lost_gpu_is_named() -> None:
    lost = replace(reading(GPUS[1]), state="lost", reason="off the bus")
    assert "GPU 1 is lost: off the bus" in found(replace(host(), readings=(reading(GPUS[0]), lost)))["GPUs"].text


@pytest.mark.parametrize(
    ("can", "state"),
    [({"nvidia_driver": None}, "unknown"), ({"nvidia_driver": False}, "warning"), ({"too_old": "Podman 5.4"}, "error")],
)
def test_what_is_not_known_is_not_said_to_be_well(can: dict[str, Any], state: str) -> None:
    assert found(host(**can))["nvidia requests"].state == state


def test_gpus_that_no_cdi_device_stands_for_are_named() -> None:
    one = found(host(cdi=True, cdi_devices=(CdiDevice("nvidia.com/gpu=0"),)))["CDI"]
    assert (one.state, "none for GPU 1" in one.text) == ("warning", True)
    assert found(host(cdi=True, cdi_devices=None))["CDI"].state == "unknown"


def test_no_way_to_a_gpu_is_an_error() -> None:
    assert found(host(), Refusal("nothing works", "mend it"))["mechanism"] == Check(
        name="mechanism", state="error", text="nothing works", fix="mend it"
    )


def test_a_reload_of_systemd_is_warned_of_where_it_takes_devices_away() -> None:
    assert "daemon-reload" in found(host(cgroup_driver="systemd"))["cgroups"].text
    assert "cgroups" not in found(host(cgroup_driver="systemd"), Choice("cdi", ""))


def test_errors_of_services_are_counted() -> None:
    wrong = Finding(code="x", severity="error", text="y")
    assert found(replace(host(), findings=(wrong,)))["services"].state == "error"
