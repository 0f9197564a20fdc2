"""What gputui makes of a Compose file is what `docker compose` makes of it, and each takes the other's for its own."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.lab.asked import compose_command, tried_compose
from tests.lab.conftest import Lab
from tests.lab.driver import uuid_of
from tests.lab.engine import GROUP, USER, as_user

pytestmark = pytest.mark.lab

CORPUS = Path(__file__).resolve().parents[1] / "compose_corpus"
TOOLS = ("config-hash", "image", "version")
"""Labels that name the tool, or what it remembers for itself."""


@pytest.fixture
def folder(lab: Lab) -> Path:
    """The corpus in a folder of the user's, and docker-compose where that user can run it."""
    target = lab.home / "rt"
    shutil.copytree(CORPUS, target)
    for path in (target, *target.rglob("*")):
        os.chown(path, USER, GROUP)
    compose_command(lab)
    return target


def described(lab: Lab, project: str) -> dict[str, dict[str, Any]]:
    """What each container of the project is, without what differs each time, and without GPUs."""
    client = lab.engine.client().api
    found = {}
    for listed in client.containers(all=True, filters={"label": f"com.docker.compose.project={project}"}):
        data = client.inspect_container(listed["Id"])
        found[data["Config"]["Labels"]["com.docker.compose.service"]] = _plain(data)
    return found


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    own = data["Id"][:12]
    config, host = dict(data["Config"]), dict(data["HostConfig"])
    config["Hostname"] = "" if config["Hostname"] == own else config["Hostname"]
    variables = ("NVIDIA_VISIBLE_DEVICES", "CUDA_")
    config["Env"] = sorted(line for line in config["Env"] or [] if not line.startswith(variables))
    labels = config.pop("Labels")
    ours = {name: value for name, value in labels.items() if not name.startswith("io.gputui.")}
    tools = {f"com.docker.compose.{name}" for name in TOOLS}
    config["labels"] = {name: sorted(value.split(",")) for name, value in ours.items() if name not in tools}
    host.pop("DeviceRequests")
    host["Binds"] = sorted(host["Binds"] or [])
    host["Ulimits"] = sorted(host["Ulimits"] or [], key=lambda one: one["Name"])
    mounts = ({key: value for key, value in one.items() if value} for one in host.get("Mounts") or [])
    host["Mounts"] = sorted(json.dumps(one, sort_keys=True) for one in mounts)
    for mode in ("NetworkMode", "IpcMode", "PidMode"):
        host[mode] = host[mode].partition(":")[0]
    host["ExtraHosts"] = sorted(host["ExtraHosts"] or [])
    host["VolumesFrom"] = len(host["VolumesFrom"] or [])
    networks = {
        name: (sorted(alias for alias in one["Aliases"] or [] if alias != own), one["IPAMConfig"] or None)
        for name, one in data["NetworkSettings"]["Networks"].items()
    }
    places = sorted((mount["Type"], mount["Destination"], mount["RW"]) for mount in data["Mounts"])
    whole = {**config, **host, "name": data["Name"], "networks": networks, "places": places}
    return {key: value for key, value in whole.items() if value not in (None, "", [], {}, False, 0)}


def test_thirty_services_of_varied_shape_are_made_as_compose_makes_them(lab: Lab, folder: Path) -> None:
    made = tried_compose(lab, folder, "create")
    assert "Error" not in made.stderr, made.stderr[-2000:]
    theirs = described(lab, "rt")
    tried_compose(lab, folder, "down", "-v")
    assert described(lab, "rt") == {}

    # Host networks, devices and limits of the corpus cannot all be started here; that is no matter of their making.
    file = ("--file", str(folder / "compose.yml"))
    plan = lab.gputui(*file, "plan", "--json")
    assert len(json.loads(plan.stdout)["steps"]) >= 30
    script = folder / "create.py"
    script.write_text(CREATE)
    made = subprocess.run(
        as_user([str(lab.bin / "python"), str(script), f"unix://{lab.engine.socket}"]),
        cwd=folder, env=lab.environment(), capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    ours = described(lab, "rt")
    assert ours.keys() == theirs.keys()
    for name in theirs:
        assert ours[name] == theirs[name], name
    # And Compose takes them for its own.
    listed = tried_compose(lab, folder, "ps", "-a", "--format", "json").stdout.splitlines()
    assert {json.loads(line)["Service"] for line in listed} == set(theirs)
    tried_compose(lab, folder, "down", "-v", "-t", "1")
    assert described(lab, "rt") == {}


# The operations that an apply begins with, for every service of the file, without starting any.
CREATE = """
import sys
from pathlib import Path
from gputui.apply.operations.action import ContainerPair, OperationContext
from gputui.apply.engine_retry import EngineRetry
from gputui.engine.docker_engine import DockerEngine
from gputui.controller.compose_marks import NOBODYS
from gputui.domain import compose_labels
from gputui.domain.container import ContainerSpec
from gputui.domain.plan import Plan, Step
from gputui.domain.service import ServiceKey
from gputui.planning.changes.container_view import container_view
from gputui.apply.step_operations import PlanInput, ApplyOptions, make_transaction
from gputui.compose.files import ComposeFiles
from gputui.compose.reading import read_project

engine = DockerEngine(sys.argv[1])
project = read_project(ComposeFiles((Path("compose.yml"),)))
options = ApplyOptions(operator="alice", reason="r", token="t", settle_s=0, health_limit_s=1)
marks = {compose_labels.CONFIG_HASH: NOBODYS}
waiting = list(project.services)
made = set()
while waiting:
    service = next(one for one in waiting if made >= set(one.depends_on))
    waiting.remove(service)
    made.add(service.name)
    assert not service.not_carried, service
    key = ServiceKey("host", project.name, service.name)
    step = Step(action="create", service=key, name=service.name, cause="", view=container_view([], []))
    spec = ContainerSpec(name=service.container_name, body=service.body, networks=service.networks)
    inputs = {key: PlanInput(spec=spec, labels=marks)}
    (task,) = make_transaction(Plan(revision=1, steps=(step,)), inputs, project, options).tasks
    context = OperationContext(
        engine=engine, source=None, gpus=(), retry=EngineRetry(), report=print, keep_log=print, abandoned=bool,
        cancelled=str,
    )
    pair = ContainerPair(None)
    for operation in task.operations:
        if operation.phase == "prepare":
            operation.do.perform(pair, context)
"""

GPU_PROJECT = """
name: ai
services:
  llm:
    image: workload:1
    restart: unless-stopped
    stop_grace_period: 2s
    volumes: [data:/data]
    deploy: {resources: {reservations: {devices: [{driver: nvidia, device_ids: ['%s'], capabilities: [gpu]}]}}}
  web:
    image: workload:1
    depends_on: [llm]
    command: sleep 1d
    stop_grace_period: 1s
volumes: {data: {}}
"""


def test_compose_sees_ours_and_recreates_nothing_that_gputui_moved(lab: Lab, folder: Path) -> None:
    project = folder / "ai"
    project.mkdir()
    os.chown(project, USER, GROUP)
    (project / "compose.yml").write_text(GPU_PROJECT % uuid_of(0))
    environment = {"PATH": f"{lab.folder / 'bin'}:{lab.environment()['PATH']}"}
    assert "Started" in tried_compose(lab, project, "up", "-d").stderr
    lab.loaded("ai-llm-1")
    assert lab.gputui("assign", "llm", "--gpus", "1", "--yes").returncode == 0
    assert lab.gputui("apply", "--yes", "--settle", "1").returncode == 0
    seen = tried_compose(lab, project, "ps", "llm", "--format", "json").stdout
    assert json.loads(seen)["Name"] == "ai-llm-1", "where gputui cannot ask docker compose, and without the file"
    tried_compose(lab, project, "up", "-d")
    assert lab.nodes("ai-llm-1") == {"nvidia0"}, "what is not as the file says is put right by Compose"
    file = ("--file", str(project / "compose.yml"))
    assert lab.gputui(*file, "assign", "llm", "--gpus", "2", "--yes", **environment).returncode == 0
    applied = lab.gputui(*file, "apply", "--yes", "--settle", "1", **environment)
    assert applied.returncode == 0, (applied.stdout, applied.stderr)
    moved = lab.names()
    assert lab.nodes("ai-llm-1") == {"nvidia2"}

    assert json.loads(tried_compose(lab, project, "ps", "llm", "--format", "json").stdout)["Name"] == "ai-llm-1"
    assert "loaded model on /dev/nvidia2" in tried_compose(lab, project, "logs", "llm").stdout
    files = ("-f", "compose.yml", "-f", "docker-compose.gpu-override.yml")
    up = tried_compose(lab, project, *files, "up", "-d")
    assert "Recreate" not in up.stderr, up.stderr
    assert lab.names() == moved, "nothing was made anew"
    tried_compose(lab, project, "down", "-v", "-t", "2")
    assert lab.names() == {}
