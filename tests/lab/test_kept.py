"""All else stays: what a container is and has, besides its GPUs, is the same after a move."""

import json
import os
from typing import Any

import docker.types
import pytest

from tests.lab.asked import docker_compose, findings, told
from tests.lab.conftest import Lab, compose_file
from tests.lab.driver import uuid_of
from tests.lab.engine import GROUP, USER

pytestmark = [pytest.mark.lab, pytest.mark.sampled]


def move(lab: Lab, gpu: int, *file: str) -> None:
    assert lab.gputui(*file, "assign", "llm", "--gpus", str(gpu), "--yes").returncode == 0
    done = lab.gputui(*file, "apply", "--yes", "--settle", "0.5")
    assert done.returncode == 0, (done.stdout, done.stderr)


@pytest.mark.parametrize("by", ["id", "short id", "name"])
def test_a_network_that_was_joined_by_its_id_keeps_address_and_alias(lab: Lab, by: str) -> None:
    """containrrr/watchtower#1912: `--network ID --ip … --network-alias …`; what is really joined counts."""
    client: Any = lab.engine.client()
    pool = docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet="10.78.0.0/24")])
    network = client.networks.create("front", ipam=pool)
    name = {"id": network.id, "short id": network.id[:12], "name": "front"}[by]
    body: dict[str, Any] = {
        "Image": "workload:1", "Env": ["CLAIM_MIB=64"], "StopTimeout": 2,
        "HostConfig": {
            "NetworkMode": name,
            "DeviceRequests": [{"Driver": "", "DeviceIDs": [uuid_of(0)], "Capabilities": [["gpu"]]}],
        },
        "NetworkingConfig": {
            "EndpointsConfig": {name: {"IPAMConfig": {"IPv4Address": "10.78.0.77"}, "Aliases": ["model"]}}
        },
    }  # fmt: skip
    client.api.start(client.api.create_container_from_config(body, name="llm")["Id"])
    lab.engine.run("web", None, network="front")
    lab.loaded("llm")
    for gpu in (3, 1):  # twice: what was made once is not other than what was found
        move(lab, gpu)
        networks = lab.inspect("llm")["NetworkSettings"]["Networks"]
        (end,) = networks.values()
        assert end["NetworkID"] == network.id
        assert end["IPAddress"] == "10.78.0.77"
        assert "model" in (end["Aliases"] or [])
        assert "10.78.0.77" in lab.inside("web", "nslookup", "model")
        assert lab.nodes("llm") == {f"nvidia{gpu}"}


@pytest.mark.parametrize("network", ["default", "front"])
def test_a_fixed_mac_address_is_kept_and_a_given_one_is_not_made_fixed(lab: Lab, network: str) -> None:
    """containrrr/watchtower#1941: licences hang on it."""
    options: dict[str, Any] = {}
    if network != "default":
        lab.engine.client().networks.create(network)
        options = {"network": network}
    mac = "02:42:ac:11:65:43"
    lab.engine.run("llm", [uuid_of(0)], mac_address=mac, **options)
    lab.engine.run("free", [uuid_of(1)], **options)
    for name in ("llm", "free"):
        lab.loaded(name)
    assert lab.inspect("free")["Config"].get("MacAddress", "") == ""
    assert lab.gputui("assign", "free", "--gpus", "2", "--yes").returncode == 0
    for gpu in (3, 4):
        move(lab, gpu)
        found = lab.inspect("llm")
        assert found["Config"]["MacAddress"] == mac
        assert next(iter(found["NetworkSettings"]["Networks"].values()))["MacAddress"] == mac
        assert mac in lab.inside("llm", "cat", "/sys/class/net/eth0/address")
        assert lab.nodes("llm") == {f"nvidia{gpu}"}
    assert lab.inspect("free")["Config"].get("MacAddress", "") == ""


# --- the file -------------------------------------------------------------------------------------------------------

OLLAMA = """
name: ai
services:
  llm:
    image: workload:1
    environment:
      OLLAMA_NUM_PARALLEL: "%d"
      OLLAMA_KEEP_ALIVE: "%s"
      CLAIM_MIB: "64"
      EMPTY: "%s"
    gpus: [{device_ids: ['%s'], capabilities: [gpu]}]
    x-gputui: {vram: 2GiB}
"""


@pytest.mark.parametrize("edited", [True, False])
@pytest.mark.parametrize("change", [(4, "5m", ""), (1, "24h", ""), (1, "5m", "not")])
def test_every_variable_of_the_file_is_compared(lab: Lab, change: tuple[int, str, str], edited: bool) -> None:
    """containrrr/watchtower#233: a variable that was changed in the file is not in the container."""
    path = compose_file(lab, OLLAMA % (1, "5m", "", uuid_of(0)))
    file = ("--file", str(path))
    if edited:
        assert lab.gputui(*file, "assign", "llm", "--gpus", "2", "--yes").returncode == 0
    assert lab.gputui(*file, "apply", "--yes", "--settle", "0.5").returncode == 0
    path.write_text(OLLAMA % (*change, uuid_of(0)))
    assert findings(lab, *file, code="differs-from-file", service="llm")
    done = lab.gputui(*file, "apply", "llm", "--refresh", "--yes", "--settle", "0.5")
    assert done.returncode == 0, (done.stdout, done.stderr)
    inside = lab.process_environment("ai-llm-1")
    names = ("OLLAMA_NUM_PARALLEL", "OLLAMA_KEEP_ALIVE", "EMPTY")
    assert tuple(inside[name] for name in names) == (str(change[0]), change[1], change[2])
    assert not findings(lab, *file, code="differs-from-file")
    assert lab.nodes("ai-llm-1") == {"nvidia2" if edited else "nvidia0"}


def test_a_variable_that_the_file_does_not_name_any_more_is_gone_after_a_refresh(lab: Lab) -> None:
    """containrrr/watchtower#233, the other way: taken out of the file."""
    text = OLLAMA % (1, "5m", "", uuid_of(0))
    path = compose_file(lab, text)
    file = ("--file", str(path))
    assert lab.gputui(*file, "apply", "--yes", "--settle", "0.5").returncode == 0
    path.write_text(text.replace('      OLLAMA_KEEP_ALIVE: "5m"\n', ""))
    assert findings(lab, *file, code="differs-from-file", service="llm")
    assert lab.gputui(*file, "apply", "llm", "--refresh", "--yes", "--settle", "0.5").returncode == 0
    assert "OLLAMA_KEEP_ALIVE" not in lab.process_environment("ai-llm-1")


PROFILED = """
name: ai
services:
  llm:
    image: workload:1
    security_opt: ["%s"]
    gpus: [{device_ids: ['%s'], capabilities: [gpu]}]
"""


@pytest.mark.parametrize("written", ["seccomp:./p.json", "seccomp=./p.json", "seccomp:p.json"])
def test_a_seccomp_profile_is_sent_as_its_content_and_relative_to_the_file(lab: Lab, written: str) -> None:
    """As the command line does for `--security-opt seccomp=FILE`; the engine takes no path."""
    path = compose_file(lab, PROFILED % (written, uuid_of(0)))
    rules = [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}
    (path.parent / "p.json").write_text(json.dumps(profile))
    os.chown(path.parent / "p.json", USER, GROUP)
    file = ("--file", str(path))
    done = lab.gputui(*file, "apply", "--yes", "--settle", "0.5")
    assert done.returncode == 0, (done.stdout, done.stderr)
    for gpu in (0, 3):
        if gpu:
            move(lab, gpu, *file)
        (option,) = lab.inspect("ai-llm-1")["HostConfig"]["SecurityOpt"]
        assert json.loads(option.partition("=")[2]) == profile
        assert "not permitted" in lab.inside("ai-llm-1", "mkdir", "/tmp-of-mine")
        assert lab.nodes("ai-llm-1") == {f"nvidia{gpu}"}
    docker_compose(lab, path.parent, "-f", path.name, "-f", "docker-compose.gpu-override.yml", "up", "-d")
    (option,) = lab.inspect("ai-llm-1")["HostConfig"]["SecurityOpt"]
    assert json.loads(option.partition("=")[2]) == profile, "as Compose itself sends it"


def test_a_seccomp_profile_that_is_not_there_is_told_before_anything_is_made(lab: Lab) -> None:
    path = compose_file(lab, PROFILED % ("seccomp:./none.json", uuid_of(0)))
    done = lab.gputui("--file", str(path), "apply", "--yes", "--settle", "0.5")
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "none.json" in done.stderr
    assert lab.names() == {}


NONE = """
name: ai
services:
  llm:
    image: workload:1
    %s
    gpus: [{device_ids: ['%s'], capabilities: [gpu]}]
  embed:
    image: workload:1
    gpus: [{device_ids: ['%s'], capabilities: [gpu]}]
"""


@pytest.mark.parametrize("scale", ["scale: 0", "deploy: {replicas: 0}"])
def test_a_service_of_scale_0_is_not_created(lab: Lab, scale: str) -> None:
    """docker/compose#8651."""
    path = compose_file(lab, NONE % (scale, uuid_of(0), uuid_of(1)))
    file = ("--file", str(path))
    done = lab.gputui(*file, "apply", "--yes", "--settle", "0.5")
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert set(lab.names()) == {"ai-embed-1"}
    rows = {one["name"]: one for one in told(lab, *file, "services")["services"]}
    if "llm" in rows:
        assert (rows["llm"]["state"], rows["llm"]["enabled"]) == ("not created", False)
    assert told(lab, *file, "status")["problems"] == []
    # Of what one wants all the same, it is made.
    assert lab.gputui(*file, "assign", "llm", "--gpus", "3", "--enable").returncode == 0
    assert lab.gputui(*file, "apply", "--yes", "--settle", "0.5").returncode == 0
    assert lab.nodes("ai-llm-1") == {"nvidia3"}


# --- labels of others -----------------------------------------------------------------------------------------------

VERBS = (
    ("services",), ("findings",), ("status",), ("gpus",), ("processes",), ("plan",), ("doctor",), ("history",),
    ("suggest",), ("logs", "llm"), ("export", "run"),
)  # fmt: skip
JUNK = ("²", "-1", "", "9" * 5000, "one")
JUNK_OF_OURS = {"io.gputui.budget-mib": "²", "io.gputui.order": "²,¹", "io.gputui.original": "{", "io.gputui.gpus": "²"}


@pytest.mark.parametrize("number", ["2", *JUNK], ids=lambda text: ascii(text[:6]))
def test_a_label_that_is_no_number_ends_no_verb(lab: Lab, number: str) -> None:
    """A container anywhere on the host with such a label: every verb works, and it can be moved."""
    labels = {
        "com.docker.compose.project": "odd",
        "com.docker.compose.service": "junk",
        "com.docker.compose.container-number": number,
        **(JUNK_OF_OURS if number in JUNK else {}),
    }
    lab.engine.run("llm", [uuid_of(0)])
    lab.engine.run("junk", [uuid_of(1)], labels=labels)
    lab.loaded("llm")
    for verb in VERBS:
        done = lab.gputui(*verb)
        assert "Traceback" not in done.stderr, (verb, done.stderr)
        assert done.returncode in (0, 1), (verb, done.stderr)
    move(lab, 3)
    assert lab.nodes("llm") == {"nvidia3"}
    name = next(one["name"] for one in told(lab, "services")["services"] if one["container"] == "junk")
    assert lab.gputui("assign", name, "--gpus", "4", "--yes").returncode == 0
    done = lab.gputui("apply", "--yes", "--settle", "0.5")
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert lab.nodes("junk") == {"nvidia4"}
