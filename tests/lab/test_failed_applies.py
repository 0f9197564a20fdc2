"""When the new container does not come up, the old one is back, and the reason is told."""

import pytest

from tests.lab.conftest import Lab
from tests.lab.driver import uuid_of

pytestmark = pytest.mark.lab

# Runs on GPU 0, and dies at once wherever /dev/nvidia1 is.
FALLS_ON_GPU_1 = '[ -e /dev/nvidia1 ] && { echo "CUDA out of memory on /dev/nvidia1"; exit 3; }; exec /workload'


def assert_back(lab: Lab, name: str, identity: str, gpu: int) -> None:
    assert lab.names() == {name: identity}
    found = lab.inspect(name)
    assert found["State"]["Status"] == "running"
    assert lab.nodes(name) == {f"nvidia{gpu}"}
    assert lab.json("status")["problems"] == []


@pytest.mark.parametrize("policy", [{"Name": "no"}, {"Name": "unless-stopped"}])
def test_a_new_container_that_dies_at_once_is_taken_back(lab: Lab, policy: dict[str, str]) -> None:
    identity = lab.engine.run("llm", [uuid_of(0)], command=["sh", "-c", FALLS_ON_GPU_1], restart_policy=policy)
    lab.loaded("llm")
    assert lab.gputui("assign", "llm", "--gpus", "1", "--yes").returncode == 0
    applied = lab.gputui("apply", "--yes", "--settle", "2")
    assert applied.returncode == 4
    assert "CUDA out of memory on /dev/nvidia1" in applied.stdout
    assert "llm: watch it come up: it ended with code 3" in applied.stderr
    assert_back(lab, "llm", identity, 0)
    assert lab.inspect("llm")["HostConfig"]["RestartPolicy"]["Name"] == policy["Name"]


@pytest.mark.parametrize(("fault", "inside"), [("other", "/dev/nvidia3"), ("none", "no GPU")])
def test_a_hook_that_lies_is_found_out(lab: Lab, fault: str, inside: str) -> None:
    identity = lab.engine.run("llm", [uuid_of(0)])
    lab.loaded("llm")
    assert lab.gputui("assign", "llm", "--gpus", "2", "--yes").returncode == 0
    (lab.folder / "hook.fault").write_text(fault)
    applied = lab.gputui("apply", "--yes", "--settle", "1")
    (lab.folder / "hook.fault").unlink()
    assert applied.returncode == 4
    assert f"drift: it was to get GPU 2 (/dev/nvidia2); inside is {inside}" in applied.stderr
    # The old one was started again while the hook still lied, so only its identity is certain.
    assert lab.names() == {"llm": identity}
    assert lab.inspect("llm")["State"]["Status"] == "running"


def test_a_start_that_the_driver_refuses_is_taken_back(lab: Lab) -> None:
    identity = lab.engine.run("llm", [uuid_of(0)])
    lab.loaded("llm")
    assert lab.gputui("assign", "llm", "--gpus", "5", "--yes").returncode == 0
    plan = lab.json("plan")
    assert len(plan["steps"]) == 1
    (lab.folder / "hook.py").rename(lab.folder / "hook.real")
    (lab.folder / "hook.py").write_text(
        (lab.folder / "hook.real")
        .read_text()
        .replace('if name == one["label"]', 'if one["label"] != "5" and name == one["label"]')
        .replace('or name == one["uuid"]', 'or (one["label"] != "5" and name == one["uuid"])')
        .replace('(name.startswith("GPU-")', '(one["label"] != "5" and name.startswith("GPU-")')
    )
    try:
        applied = lab.gputui("apply", "--yes", "--settle", "1")
    finally:
        (lab.folder / "hook.real").rename(lab.folder / "hook.py")
    assert applied.returncode == 4
    assert "unknown device" in applied.stderr
    assert_back(lab, "llm", identity, 0)
