"""What survives a recreate, what does not, and when a new container counts as well."""

import subprocess
from typing import Any

import docker.types
import pytest

from tests.lab.conftest import Lab
from tests.lab.driver import uuid_of, wait_for
from tests.lab.engine import as_user

pytestmark = pytest.mark.lab

OURS = ("NVIDIA_VISIBLE_DEVICES", "CUDA_")


def plain(data: dict[str, Any]) -> dict[str, Any]:
    """Inspect data without what is new in every container, and without GPUs."""
    config, host = dict(data["Config"]), dict(data["HostConfig"])
    own = data["Id"][:12]
    config["Hostname"] = "" if config["Hostname"] == own else config["Hostname"]
    config["Env"] = sorted(line for line in config["Env"] if not line.startswith(OURS))
    config["Labels"] = {name: value for name, value in config["Labels"].items() if not name.startswith("io.gputui.")}
    host.pop("DeviceRequests")
    host.pop("Mounts", None)  # an anonymous volume is named from then on; its place and content are asked for below
    config.pop("Volumes", None)
    networks = {
        name: (sorted(alias for alias in one["Aliases"] or [] if alias != own), one["IPAMConfig"])
        for name, one in data["NetworkSettings"]["Networks"].items()
    }
    places = sorted((one["Type"], one["Destination"], one.get("Name"), one["RW"]) for one in data["Mounts"])
    return {**config, **host, "networks": networks, "places": places}


def test_everything_that_a_container_has_survives(lab: Lab) -> None:
    client = lab.engine.client()
    pool = docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet="10.77.0.0/24")])
    client.networks.create("front", ipam=pool)
    client.networks.create("back")
    options: dict[str, Any] = {
        "environment": {"A": "1", "EMPTY": ""},
        "volumes": {"named": {"bind": "/named", "mode": "rw"}},
        "mounts": [docker.types.Mount("/anonymous", None)],
        "tmpfs": {"/scratch": "size=1m"},
        "ports": {"8000/tcp": None},
        "restart_policy": {"Name": "on-failure", "MaximumRetryCount": 3},
        "healthcheck": {"test": ["CMD", "true"], "interval": 10**9, "start_period": 5 * 10**9},
        "ulimits": [docker.types.Ulimit(name="nofile", soft=1000, hard=2000)],
        "log_config": docker.types.LogConfig(config={"max-size": "1m"}),
        "cap_add": ["SYS_PTRACE"],
        "cap_drop": ["NET_RAW"],
        "security_opt": ["no-new-privileges"],
        "labels": {"mine": "yes"},
        "shm_size": "256m",
        "mem_limit": "512m",
        "ipc_mode": "shareable",
        "user": "0:0",
        "hostname": "host-a",
        "working_dir": "/tmp",
        "extra_hosts": {"db": "10.0.0.9"},
        "network": "front",
    }
    identity = lab.engine.run("llm", [uuid_of(0)], **options)
    client.networks.get("back").connect(identity, aliases=["behind", "second"])
    lab.inside("llm", "sh", "-c", "echo kept >/anonymous/mark; echo kept >/named/mark")
    before = lab.inspect("llm")
    lab.loaded("llm")
    assert lab.gputui("assign", "llm", "--gpus", "1", "--yes").returncode == 0
    plan = lab.json("plan")
    (step,) = plan["steps"]
    assert {line.partition(":")[0] for line in step["diff"]} == {
        "device request", "NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "all else stays",
    }, "only the GPUs change"  # fmt: skip
    applied = lab.gputui("apply", "--yes")
    assert applied.returncode == 0, (applied.stdout, applied.stderr)
    after = lab.inspect("llm")
    assert after["Id"] != identity
    assert plain(after) == plain(before)
    assert (lab.inside("llm", "cat", "/anonymous/mark"), lab.inside("llm", "cat", "/named/mark")) == (
        "kept\n",
        "kept\n",
    )
    assert lab.nodes("llm") == {"nvidia1"}
    # A second time changes nothing more, and stacks no suffix.
    assert lab.gputui("assign", "llm", "--gpus", "2", "--yes").returncode == 0
    assert lab.gputui("apply", "--yes").returncode == 0
    assert plain(lab.inspect("llm")) == plain(before)
    assert set(lab.names()) == {"llm"}


def test_what_is_written_outside_volumes_is_named_and_can_be_kept(lab: Lab) -> None:
    lab.engine.run("llm", [uuid_of(0)])
    lab.loaded("llm")
    lab.inside("llm", "sh", "-c", "dd if=/dev/zero of=/weights bs=1000000 count=120 2>/dev/null; echo ok")
    assert lab.gputui("assign", "llm", "--gpus", "1", "--yes").returncode == 0
    plan = lab.json("plan")
    (warning,) = [one for one in plan["findings"] if one["code"] == "writable-layer"]
    assert "would lose 120 MB written outside its volumes (/weights 120 MB)" in warning["text"]
    assert plan["steps"][0]["writable_layer_bytes"] >= 120_000_000
    kept = lab.gputui("apply", "--yes", "--keep-layer", "llm", "--settle", "0.5")
    assert kept.returncode == 0, (kept.stdout, kept.stderr)
    assert "weights" in lab.inside("llm", "ls", "/").split()
    assert lab.inspect("llm")["Config"]["Image"].startswith("gputui/llm:")
    assert lab.nodes("llm") == {"nvidia1"}


def test_whoever_uses_its_network_is_made_anew_with_it_or_put_back_with_it(lab: Lab) -> None:
    lab.engine.run("llm", [uuid_of(0)])
    lab.engine.run("beside", [uuid_of(1)], network_mode="container:llm")
    before = lab.names()
    for name in before:
        lab.loaded(name)
    for name, gpu in (("beside", "1"), ("llm", "2")):
        assert lab.gputui("assign", name, "--gpus", gpu, "--yes").returncode == 0
    plan = lab.json("plan")
    assert [(one["service"], one["unit"]) for one in plan["steps"]] == [("llm", 1), ("beside", 1)]
    applied = lab.gputui("apply", "--yes", "--settle", "0.5")
    assert applied.returncode == 0, (applied.stdout, applied.stderr)
    assert lab.inspect("beside")["HostConfig"]["NetworkMode"] == f"container:{lab.names()['llm']}"
    assert (lab.nodes("llm"), lab.nodes("beside")) == ({"nvidia2"}, {"nvidia1"})
    assert set(lab.names()) == {"llm", "beside"}
    moved = lab.names()
    (lab.folder / f"hook.refuses.{uuid_of(1)}").touch()
    try:
        assert lab.gputui("assign", "llm", "--gpus", "3", "--yes").returncode == 0
        failed = lab.gputui("apply", "--yes", "--settle", "0.5")
    finally:
        (lab.folder / f"hook.refuses.{uuid_of(1)}").unlink()
    assert failed.returncode in (4, 5), (failed.stdout, failed.stderr)
    if failed.returncode == 5:  # the one beside could not even be started again on its own GPU then
        assert lab.gputui("rollback", "--yes").returncode == 0
    assert lab.names() == moved
    assert (lab.nodes("llm"), lab.nodes("beside")) == ({"nvidia2"}, {"nvidia1"})


SERVES_LATER = """
for node in /dev/nvidia[0-9]*; do exec 3<$node; done
mkdir -p /www; echo up >/www/index.html
sleep 1.5 3<&-
mkdir /www/cgi-bin 2>/dev/null; echo fine >/www/health
trap 'exit 0' TERM
httpd -f -p 8000 -h /www 3<&- &
while :; do sleep 0.2 3<&-; done
"""


def test_a_server_counts_as_well_when_it_answers_where_the_old_one_did(lab: Lab) -> None:
    lab.engine.make_image("vllm/vllm-openai:1")
    (lab.home / "serve").write_text(SERVES_LATER)
    where = {str(lab.home / "serve"): {"bind": "/serve", "mode": "ro"}}
    command = ["sh", "/serve", "--model", "x/y"]
    lab.engine.run("llm", [uuid_of(0)], image="vllm/vllm-openai:1", command=command, volumes=where)
    lab.loaded("llm")
    address = lab.inspect("llm")["NetworkSettings"]["IPAddress"]
    # The lab's engine has a network namespace of its own; from there its bridge can be reached, as on a server.
    inside = ["nsenter", "-t", str(lab.engine.pid), "-n", "--"]

    def answers() -> bool:
        code = f"import urllib.request as u; u.urlopen('http://{address}:8000/health', timeout=1)"
        return subprocess.run([*inside, "python3", "-c", code], capture_output=True, check=False).returncode == 0

    wait_for("the old one answers", answers)
    assert lab.gputui("assign", "llm", "--gpus", "1", "--yes").returncode == 0
    done = subprocess.run(
        [*inside, *as_user([str(lab.bin / "gputui"), "apply", "--yes", "--settle", "0.1"])],
        env=lab.environment(), cwd=lab.home, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "watch it come up: it answers on port 8000" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"auto_remove": True}, "removes itself when it stops"),
        ({"labels": {"com.docker.swarm.task.id": "x"}}, "is a task of Docker Swarm"),
        ({"labels": {"io.kubernetes.pod.uid": "x"}}, "is a container of Kubernetes"),
    ],
)
def test_what_could_not_be_put_back_is_refused_with_the_reason(lab: Lab, options: dict[str, Any], message: str) -> None:
    identity = lab.engine.run("llm", [uuid_of(0)], **options)
    lab.loaded("llm")
    assert lab.gputui("assign", "llm", "--gpus", "1", "--yes").returncode == 0
    refused = lab.gputui("apply", "--yes", "--force")
    assert refused.returncode == 2
    assert message in refused.stderr
    assert lab.names() == {"llm": identity}
