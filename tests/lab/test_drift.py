"""What a container really has is looked at now and then, from inside, and drift is told with what mends it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import Lab
from tests.lab.driver import uuid_of

pytestmark = pytest.mark.lab

LOST = "Failed to initialize NVML: Unknown Error"


def adopted(lab: Lab, gpu: int) -> None:
    lab.engine.run("llm", [uuid_of(0)])
    lab.loaded("llm")
    assert lab.gputui("assign", "llm", "--gpus", str(gpu), "--yes").returncode == 0
    assert lab.gputui("apply", "--yes", "--settle", "0.5").returncode == 0


def service(lab: Lab) -> dict[str, Any]:
    return dict(lab.json("services")["services"][0])


def test_what_was_given_and_is_there_is_no_drift(lab: Lab) -> None:
    adopted(lab, 2)
    assert service(lab)["drift"] == []


def test_other_devices_after_a_start_by_somebody_else_are_drift_until_it_is_restarted(lab: Lab) -> None:
    adopted(lab, 2)
    (lab.folder / "hook.fault").write_text("other")
    lab.engine.client().containers.get("llm").restart(timeout=1)
    assert "inside is /dev/nvidia3, but it was given /dev/nvidia2" in service(lab)["drift"]
    findings = json.loads(lab.gputui("findings", "--json").stdout)["findings"]
    assert all("`gputui restart llm`" in one["fix"] for one in findings if one["code"] == "drift")
    assert "drift" in {one["code"] for one in findings}
    (lab.folder / "hook.fault").unlink()
    assert lab.gputui("restart", "llm", "--yes", "--settle", "0.5").returncode == 0
    assert service(lab)["drift"] == []


def test_devices_that_systemd_took_away_are_told_as_such_and_given_back_by_a_restart(lab: Lab) -> None:
    adopted(lab, 2)
    identity = lab.inspect("llm")["Id"]
    # What `systemctl daemon-reload` does to a container whose devices systemd does not know of.
    groups = Path(f"/proc/{lab.inspect('llm')['State']['Pid']}/cgroup").read_text().splitlines()
    place = next(line.split(":", 2)[2] for line in groups if line.split(":")[1] == "devices")
    Path(f"/sys/fs/cgroup/devices{place}/devices.deny").write_text("c 1:3 rwm")
    (drift,) = service(lab)["drift"]
    assert drift == f"it lost access to its GPUs, as after `systemctl daemon-reload`: {LOST}"
    assert lab.gputui("restart", "llm", "--yes", "--settle", "0.5").returncode == 0
    assert lab.inspect("llm")["Id"] == identity
    assert service(lab)["drift"] == []


def test_a_container_of_others_is_not_looked_into(lab: Lab) -> None:
    lab.engine.run("llm", [uuid_of(0)])
    lab.loaded("llm")
    before = lab.inspect("llm")["ExecIDs"]
    (lab.folder / "hook.fault").write_text("other")
    lab.engine.client().containers.get("llm").restart(timeout=1)
    assert all("inside is" not in text for text in service(lab)["drift"])
    assert lab.inspect("llm")["ExecIDs"] == before


def test_a_container_with_all_gpus_is_shown_with_those_that_it_may_use_and_where_it_does(lab: Lab) -> None:
    api: Any = lab.engine.client().api
    request = api.create_container_from_config(
        {
            "Image": "workload:1", "Env": ["CUDA_VISIBLE_DEVICES=3", "CLAIM_MIB=64"],
            "HostConfig": {"DeviceRequests": [{"Driver": "", "Count": -1, "Capabilities": [["gpu"]]}]},
        },
        name="all",
    )  # fmt: skip
    api.start(request["Id"])
    lab.loaded("all")
    one = service(lab)
    assert one["requested"] == [uuid_of(gpu) for gpu in range(6)]
    assert one["running_on"] == [uuid_of(3)]
    assert one["drift"] == []
