"""Services of a Compose file, created and moved on the real engine."""

from pathlib import Path

import pytest
import yaml

from tests.lab.conftest import Lab, compose_file
from tests.lab.driver import uuid_of

pytestmark = pytest.mark.lab

COMPOSE = """
services:
  llm:
    image: workload:1
    environment: {CLAIM_MIB: "4096"}
    volumes: [cache:/cache]
    x-gputui: {vram: 4GiB, gpus: [1, 0]}
  embed:
    image: cuda-base:1
    deploy: {resources: {reservations: {devices: [{driver: nvidia, device_ids: ["2"], capabilities: [gpu]}]}}}
  web:
    image: workload:1
  odd:
    image: workload:1
    credential_spec: {file: spec.json}
    x-gputui: {gpus: 3}
volumes: {cache: {}}
"""


@pytest.fixture
def compose(lab: Lab) -> Path:
    return compose_file(lab, COMPOSE)


def test_services_of_a_file_are_created_and_moved(lab: Lab, compose: Path) -> None:
    file = ("--file", str(compose))
    plan = lab.gputui(*file, "plan", "--json")
    assert plan.returncode == 1, "odd has a key that cannot be carried"
    assert '"key-not-carried"' in plan.stdout
    applied = lab.gputui(*file, "apply", "llm", "embed", "--yes", "--settle", "1")
    assert applied.returncode == 0, (applied.stdout, applied.stderr)
    assert set(lab.names()) == {"ai-llm-1", "ai-embed-1"}
    assert lab.nodes("ai-llm-1") == {"nvidia0", "nvidia1"}
    assert lab.nodes("ai-embed-1") == {"nvidia2"}
    assert lab.process_environment("ai-llm-1")["CUDA_VISIBLE_DEVICES"] == "1,0"
    found = lab.inspect("ai-llm-1")
    assert found["HostConfig"]["NetworkMode"] == "ai_default"
    assert {"Type": "volume", "Name": "ai_cache"}.items() <= found["Mounts"][0].items()

    moved = lab.gputui(*file, "assign", "llm", "--gpus", "4")
    assert moved.returncode == 0, "a service of one's own file needs no adoption"
    assert lab.gputui(*file, "apply", "llm", "--yes", "--settle", "1").returncode == 0
    assert lab.nodes("ai-llm-1") == {"nvidia4"}
    assignments = yaml.safe_load((compose.parent / "gpu-assignments.yml").read_text())
    assert assignments["assignments"]["llm"]["gpus"] == ["4"]
    override = (compose.parent / "docker-compose.gpu-override.yml").read_text()
    assert "devices: !override" in override
    assert uuid_of(4) in override


def test_an_image_that_takes_all_gpus_gets_none_when_it_is_given_none(lab: Lab, compose: Path) -> None:
    file = ("--file", str(compose))
    assert lab.gputui(*file, "assign", "embed", "--gpus", "none", "--enable").returncode == 0
    applied = lab.gputui(*file, "apply", "embed", "--yes", "--settle", "1")
    assert applied.returncode == 0, (applied.stdout, applied.stderr)
    assert lab.nodes("ai-embed-1") == set()
    assert lab.process_environment("ai-embed-1")["NVIDIA_VISIBLE_DEVICES"] == "void"


COUNTED = """
name: ai
services:
  llm:
    image: workload:1
    x-gputui: {vram: 2GiB}
    deploy: {resources: {reservations: {devices: [{driver: nvidia, count: 2, capabilities: [gpu]}]}}}
"""


def test_a_request_for_a_number_of_gpus_gets_those_with_room(lab: Lab) -> None:
    """GPU 0, which the engine itself would take first, is full."""
    lab.driver.change(0, base=80_500)
    file = ("--file", str(compose_file(lab, COUNTED)))
    (service,) = lab.json(*file, "services")["services"]
    assert service["any_gpus"] == 2
    assert 0 not in service["assigned_indices"]
    applied = lab.gputui(*file, "apply", "--yes", "--settle", "0.5")
    assert applied.returncode == 0, (applied.stdout, applied.stderr)
    assert lab.nodes("ai-llm-1") == {f"nvidia{index}" for index in service["assigned_indices"]}
    assert lab.json(*file, "plan")["steps"] == []
    cleaned = lab.json(*file, "clean", "--yes")
    assert cleaned["removed"] == {"applies": 0, "revisions": 0, "logs": 0}
