"""GPUs that are asked for by a variable: of the image, of the file, or of a container that somebody ran."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import why_no_lab
from tests.lab.asked import docker_compose, findings, service, told
from tests.lab.conftest import GPUS, Lab, await_applies, compose_file, give_folders, opened_lab
from tests.lab.driver import uuid_of
from tests.lab.engine_trees import write_runtime

pytestmark = [pytest.mark.lab, pytest.mark.sampled]

EVERY = {f"nvidia{gpu}" for gpu in range(GPUS)}
ALL_UUIDS = [uuid_of(gpu) for gpu in range(GPUS)]


def runtime_options(folder: Path, *, default: bool) -> list[str]:
    """An engine that knows NVIDIA's runtime, or uses it for every container."""
    write_runtime(folder, f'#!/bin/sh\nexec /usr/bin/python3 -I -S {folder}/hook.py "$@"\n')
    options = ["--add-runtime", f"nvidia={folder}/runtime/nvidia-container-runtime"]
    return [*options, "--default-runtime", "nvidia"] if default else options


@pytest.fixture(scope="module", params=["registered", "default"])
def _runtime_server(installed: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Lab, bool]]:
    reason = why_no_lab()
    if reason:
        pytest.skip(reason)
    default = request.param == "default"
    with opened_lab(installed, partial(runtime_options, default=default)) as lab:
        yield lab, default


@pytest.fixture
def runtime_lab(_runtime_server: tuple[Lab, bool]) -> Iterator[Lab]:
    lab = _runtime_server[0]
    lab.engine.remove_all()
    give_folders(lab, "home")
    yield lab
    await_applies(lab.folder)
    lab.engine.remove_all()


@pytest.fixture
def runtime(_runtime_server: tuple[Lab, bool]) -> dict[str, Any]:
    """How a file names the runtime: not at all, where it is the default."""
    return {} if _runtime_server[1] else {"runtime": "nvidia"}


ASKED: dict[str, tuple[dict[str, Any], set[str]]] = {
    "by the image": ({"image": "cuda-base:1"}, EVERY),
    "by the file": ({"image": "workload:1", "environment": {"NVIDIA_VISIBLE_DEVICES": "1,2"}}, {"nvidia1", "nvidia2"}),
    "by the file over the image": ({"image": "cuda-base:1", "environment": ["NVIDIA_VISIBLE_DEVICES=4"]}, {"nvidia4"}),
    "by UUID": ({"image": "workload:1", "environment": {"NVIDIA_VISIBLE_DEVICES": uuid_of(3)}}, {"nvidia3"}),
    "by a request over the image": (
        {"image": "cuda-base:1", "gpus": [{"device_ids": ["5"], "capabilities": ["gpu"]}]},
        {"nvidia5"},
    ),
    "for none": ({"image": "cuda-base:1", "environment": {"NVIDIA_VISIBLE_DEVICES": "void"}}, set()),
}


@pytest.mark.parametrize("case", ASKED)
def test_the_way_in_which_a_file_asks_is_honoured(runtime_lab: Lab, runtime: dict[str, Any], case: str) -> None:
    """docker/compose#7929: `runtime: nvidia`, or nothing where that is the default, with the variable in the image."""
    lab = runtime_lab
    body, gets = ASKED[case]
    services = {"llm": {**body, **runtime, "stop_grace_period": "1s"}}
    path = compose_file(lab, yaml.safe_dump({"name": "ai", "services": services}))
    file = ("--file", str(path))
    docker_compose(lab, path.parent, "up", "-d")
    assert lab.nodes("ai-llm-1") == gets, "what Compose gives"
    if gets:
        row = service(lab, "llm", *file)
        assert {f"nvidia{ALL_UUIDS.index(uuid)}" for uuid in row["requested"]} == gets
        assert told(lab, *file, "plan")["steps"] == []
    docker_compose(lab, path.parent, "down", "-t", "1")
    if not gets:
        return
    done = lab.gputui(*file, "apply", "--yes", "--settle", "0.5")
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert set(lab.names()) == {"ai-llm-1"}
    assert lab.nodes("ai-llm-1") == gets
    assert told(lab, *file, "plan")["steps"] == []


@pytest.mark.parametrize("gpus", ["2", "none"])
def test_it_can_be_moved_and_given_none(runtime_lab: Lab, runtime: dict[str, Any], gpus: str) -> None:
    """docker/compose#7929: what is assigned is what it gets, whatever its image says."""
    lab = runtime_lab
    services = {"llm": {"image": "cuda-base:1", **runtime, "stop_grace_period": "1s"}}
    path = compose_file(lab, yaml.safe_dump({"name": "ai", "services": services}))
    file = ("--file", str(path))
    assert lab.gputui(*file, "assign", "llm", "--gpus", gpus, "--enable").returncode == 0
    done = lab.gputui(*file, "apply", "--yes", "--settle", "0.5")
    assert done.returncode == 0, (done.stdout, done.stderr)
    gets = set() if gpus == "none" else {f"nvidia{gpus}"}
    assert lab.nodes("ai-llm-1") == gets
    named = ("-f", path.name, "-f", "docker-compose.gpu-override.yml")
    docker_compose(lab, path.parent, *named, "up", "-d", "--force-recreate", "-t", "1")
    assert lab.nodes("ai-llm-1") == gets, "by the override, too"


@pytest.mark.parametrize("value", ["4", "all"])
def test_a_container_that_somebody_ran_with_the_variable_is_shown_with_what_it_has(
    runtime_lab: Lab, runtime: dict[str, Any], value: str
) -> None:
    """docker/compose#7929, without any file."""
    lab = runtime_lab
    lab.engine.run("llm", None, environment={"NVIDIA_VISIBLE_DEVICES": value}, **runtime)
    lab.loaded("llm")
    row = service(lab, "llm")
    assert {f"nvidia{ALL_UUIDS.index(uuid)}" for uuid in row["requested"]} == lab.nodes("llm")
    assert row["drift"] == []
    assert lab.gputui("assign", "llm", "--gpus", "1", "--yes").returncode == 0
    assert lab.gputui("apply", "--yes", "--settle", "0.5").returncode == 0
    assert lab.nodes("llm") == {"nvidia1"}


# --- what the variables say against the request ----------------------------------------------------------------------


CONTRADICTS: dict[str, tuple[dict[str, str], bool]] = {
    "host indices": ({"CUDA_VISIBLE_DEVICES": "2,5"}, True),
    "one beyond": ({"CUDA_VISIBLE_DEVICES": "0,2"}, True),
    "empty": ({"CUDA_VISIBLE_DEVICES": ""}, True),
    "-1": ({"CUDA_VISIBLE_DEVICES": "-1"}, True),
    "another's UUID": ({"CUDA_VISIBLE_DEVICES": uuid_of(1)}, True),
    "in order": ({"CUDA_VISIBLE_DEVICES": "0,1"}, False),
    "turned": ({"CUDA_VISIBLE_DEVICES": "1,0"}, False),
    "by UUID": ({"CUDA_VISIBLE_DEVICES": f"{uuid_of(2)},{uuid_of(5)}"}, False),
    "nothing": ({}, False),
}


@pytest.mark.parametrize("case", CONTRADICTS)
def test_variables_of_a_plain_container_are_held_against_its_request(lab: Lab, case: str) -> None:
    """`docker run --gpus device=2,5 -e CUDA_VISIBLE_DEVICES=2,5`: inside they are 0 and 1."""
    variables, wrong = CONTRADICTS[case]
    lab.engine.run("llm", [uuid_of(2), uuid_of(5)], environment=variables)
    assert lab.nodes("llm") == {"nvidia2", "nvidia5"}
    found = findings(lab, code="visible-devices", service="llm")
    assert bool(found) == wrong, case
    assert {one["severity"] for one in found} <= {"error", "warning"}


def test_fewer_visible_than_the_program_works_on_is_told_of_a_plain_container(lab: Lab) -> None:
    lab.engine.make_image("vllm/vllm-openai:1")
    command = ["/workload", "--model", "x/y", "--tensor-parallel-size", "2"]
    variables = {"CUDA_VISIBLE_DEVICES": "0"}
    lab.engine.run("llm", [uuid_of(2), uuid_of(5)], image="vllm/vllm-openai:1", command=command, environment=variables)
    assert findings(lab, code="visible-devices", service="llm")


def test_a_container_that_asks_by_the_variable_alone_is_listed_where_that_gives_nothing(lab: Lab) -> None:
    """Runtime runc passes the variable over: somebody wanted a GPU, and has none."""
    lab.engine.run("llm", None, environment={"NVIDIA_VISIBLE_DEVICES": "4"})
    lab.engine.run("base", None, image="cuda-base:1")
    assert lab.nodes("llm") == set()
    rows = {one["name"]: one for one in told(lab, "services")["services"]}
    assert "llm" in rows and rows["llm"]["requested"] == []
    assert findings(lab, code="visible-devices", service="llm")
    assert "base" not in rows, "what only its image says is nobody's wish"


BESIDE = """
name: ai
services:
  llm:
    image: %s
    environment: %s
    gpus: [{device_ids: ['2'], capabilities: [gpu]}]
"""


@pytest.mark.parametrize("adopted", [False, True])
@pytest.mark.parametrize("value", ["all", "none", "0"])
def test_the_variable_beside_a_request_is_a_warning_with_what_it_will_be(lab: Lab, value: str, adopted: bool) -> None:
    """The engine puts its own behind it, and gputui writes it itself: nothing to stop an apply for."""
    path = compose_file(lab, BESIDE % ("workload:1", f'{{NVIDIA_VISIBLE_DEVICES: "{value}"}}'))
    file = ("--file", str(path))
    found = findings(lab, *file, code="visible-devices", service="llm")
    assert [one["severity"] for one in found] == ["warning"]
    if adopted:
        assert lab.gputui(*file, "assign", "llm", "--priority", "3", "--yes").returncode == 0
    done = lab.gputui(*file, "apply", "--yes", "--settle", "0.5")
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert lab.nodes("ai-llm-1") == {"nvidia2"}
    assert lab.process_environment("ai-llm-1")["NVIDIA_VISIBLE_DEVICES"] == uuid_of(2)
