"""An ordinary user on a server where something is missing, broken or in the way."""

import json
import os
import socket
from pathlib import Path

import pytest

from tests.lab.conftest import Lab, applies_of
from tests.lab.driver import uuid_of, wait_for
from tests.lab.engine import GROUP, USER
from tests.terminal import Terminal

pytestmark = pytest.mark.lab


def test_no_permission_on_the_socket_names_the_group(lab: Lab, tmp_path: Path) -> None:
    del tmp_path
    path = lab.home.parent / "locked.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        path.chmod(0o660)
        done = lab.gputui("services", DOCKER_HOST=f"unix://{path}")
    assert done.returncode == 3
    assert "no permission on the container engine's socket" in done.stderr
    assert "ask to be added to the group root" in done.stderr
    assert len(lab.json("gpus")["gpus"]) == 6, "monitoring goes on"


def test_a_saved_gpu_that_is_gone_is_a_finding_and_the_rest_works(lab: Lab) -> None:
    lab.engine.run("llm", [uuid_of(5)])
    lab.engine.run("embed", [uuid_of(0)])
    assert lab.gputui("assign", "llm", "--gpus", "5", "--yes").returncode == 0
    lab.driver.gpus = lab.driver.gpus[:5]
    lab.driver.write()
    findings = lab.gputui("findings", "--json")
    assert findings.returncode == 1
    (one,) = json.loads(findings.stdout)["findings"]
    assert (one["code"], one["service"], one["gpu"]) == ("gpu-missing", "llm", uuid_of(5))
    assert lab.gputui("assign", "embed", "--gpus", "1", "--yes").returncode == 0
    assert lab.gputui("apply", "embed", "--yes", "--settle", "1").returncode == 0
    assert lab.nodes("embed") == {"nvidia1"}


def test_an_apply_that_is_killed_is_taken_back(lab: Lab) -> None:
    identity = lab.engine.run("llm", [uuid_of(0)])
    lab.loaded("llm")
    assert lab.gputui("assign", "llm", "--gpus", "3", "--yes").returncode == 0
    terminal = Terminal(lab.command("apply", "--yes", "--settle", "30"), lab.environment())
    try:
        terminal.expect("… watch it come up")
        for pid in applies_of(lab.folder):
            os.kill(pid, 9)
        terminal.expect("EXIT=5")
    finally:
        terminal.kill()
    assert set(lab.names()) == {"llm", f"llm.old-{identity[:12]}"}
    refused = lab.gputui("apply", "--yes")
    assert refused.returncode == 1
    assert "was interrupted" in refused.stderr
    assert lab.gputui("status").returncode == 1
    recovered = lab.gputui("rollback", "--yes")
    assert recovered.returncode == 0, (recovered.stdout, recovered.stderr)
    assert lab.names() == {"llm": identity}
    assert lab.inspect("llm")["State"]["Running"]
    assert lab.nodes("llm") == {"nvidia0"}


def test_somebody_who_removes_the_old_container_meanwhile_loses_nothing(lab: Lab) -> None:
    falls = "[ -e /dev/nvidia1 ] && { sleep 3; exit 3; }; exec /workload"
    identity = lab.engine.run("llm", [uuid_of(0)], command=["sh", "-c", falls], environment={"KEEP": "me"})
    lab.loaded("llm")
    assert lab.gputui("assign", "llm", "--gpus", "1", "--yes").returncode == 0
    terminal = Terminal(lab.command("apply", "--yes", "--settle", "6"), lab.environment())
    try:
        terminal.expect("… watch it come up")
        lab.engine.client().api.remove_container(identity, force=True)
        terminal.expect("EXIT=4", limit_s=30)
    finally:
        terminal.kill()
    assert set(lab.names()) == {"llm"}
    wait_for("it runs", lambda: lab.inspect("llm")["State"]["Running"])
    assert lab.nodes("llm") == {"nvidia0"}
    assert lab.process_environment("llm")["KEEP"] == "me"


def test_what_a_container_has_survives_the_move(lab: Lab) -> None:
    client = lab.engine.client()
    network = client.networks.create("back")
    lab.engine.run(
        "llm", [uuid_of(0)], volumes=["/cache"], ports={"8000/tcp": ("127.0.0.1", 18000)}, shm_size="1g",
        ipc_mode="private",
        labels={"team": "search"}, restart_policy={"Name": "on-failure", "MaximumRetryCount": 3}, cap_add=["SYS_NICE"],
        healthcheck={"test": ["CMD", "true"], "interval": 10**9}, environment={"HF_TOKEN": "hf_secret"},
    )  # fmt: skip
    network.connect("llm", aliases=["model"])
    lab.inside("llm", "touch", "/cache/weights")
    lab.loaded("llm")
    before = lab.inspect("llm")
    assert lab.gputui("assign", "llm", "--gpus", "2", "--yes").returncode == 0
    applied = lab.gputui("apply", "--yes")
    assert applied.returncode == 0, (applied.stdout, applied.stderr)
    after = lab.inspect("llm")
    assert "weights" in lab.inside("llm", "ls", "/cache")
    assert lab.nodes("llm") == {"nvidia2"}
    for key in ("PortBindings", "ShmSize", "IpcMode", "RestartPolicy", "CapAdd", "NetworkMode", "LogConfig"):
        assert after["HostConfig"][key] == before["HostConfig"][key], key
    for key in ("Healthcheck", "Image", "Cmd", "StopSignal"):
        assert after["Config"].get(key) == before["Config"].get(key), key
    assert set(before["Config"]["Env"]) <= set(after["Config"]["Env"])
    assert after["Config"]["Labels"]["team"] == "search"
    aliases = set(after["NetworkSettings"]["Networks"]["back"]["Aliases"])
    assert "model" in aliases
    assert before["Id"][:12] not in aliases
    assert after["Config"]["Hostname"] == after["Id"][:12], "a generated host name is not pinned"
    assert "hf_secret" not in applied.stdout + lab.gputui("plan").stdout + lab.gputui("services", "--json").stdout


def test_state_is_shared_with_the_group_and_kept_from_others(lab: Lab) -> None:
    lab.engine.run("llm", [uuid_of(0)])
    assert lab.gputui("assign", "llm", "--gpus", "1", "--yes").returncode == 0
    database = lab.state / "state.sqlite3"
    stat = database.stat()
    assert (stat.st_mode & 0o777, stat.st_uid, stat.st_gid) == (0o660, USER, GROUP)


def test_a_new_gpu_is_found_by_a_key(lab: Lab) -> None:
    terminal = Terminal(lab.command(), lab.environment())
    try:
        terminal.expect(lambda text: text.count("H100 80GB") == 6)
        from tests.lab.driver import StandInGpu

        lab.driver.gpus.append(StandInGpu(6, uuid_of(6)))
        lab.driver.write()
        terminal.keys("F5")
        terminal.expect("7×H100")
    finally:
        terminal.kill()


def test_a_gpu_that_hangs_or_is_lost_spoils_one_card_and_comes_back(lab: Lab) -> None:
    terminal = Terminal(lab.command(), lab.environment())
    try:
        terminal.expect("6×H100")
        lab.driver.change(0, util=42)
        lab.driver.extra = ["fail\t3\t*\t15"]
        lab.driver.write()
        terminal.expect("LOST")
        assert "42%" in terminal.expect("42%")
        lab.driver.extra = ["delay\t2\tnvmlDeviceGetUtilizationRates\t9000"]
        lab.driver.write()
        terminal.expect("STALE")
        lab.driver.extra = []
        lab.driver.change(0, util=43)
        terminal.expect(lambda text: "LOST" not in text and "STALE" not in text and "43%" in text)
    finally:
        terminal.kill()


def test_no_driver_says_why_and_disables_what_needs_a_gpu(lab: Lab) -> None:
    lab.driver.state.unlink()
    terminal = Terminal(lab.command(), lab.environment())
    try:
        terminal.expect("No GPUs detected: the NVIDIA driver is not loaded")
        terminal.expect("modprobe nvidia")
        lab.driver.write()
        terminal.keys("F5")
        terminal.expect("6×H100")
    finally:
        terminal.kill()
