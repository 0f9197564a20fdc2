"""`--refresh`: a container is made anew as its changed Compose file says, and loses nothing by it."""

from pathlib import Path

import pytest

from tests.lab.conftest import Lab, compose_file
from tests.lab.driver import uuid_of

pytestmark = pytest.mark.lab

BEFORE = """
services:
  llm:
    image: workload:1
    environment: {CLAIM_MIB: "4096", MODEL: one}
    volumes: [cache:/cache, /scratch]
    restart: unless-stopped
    x-gputui: {gpus: [1]}
volumes: {cache: {}}
"""
AFTER = """
services:
  llm:
    image: workload:1
    environment: {CLAIM_MIB: "4096", MODEL: two}
    volumes: [cache:/cache, /scratch, models:/models]
    networks: [back]
    x-gputui: {gpus: [1]}
volumes: {cache: {}, models: {}}
networks: {back: {}}
"""


@pytest.fixture
def file(lab: Lab) -> Path:
    """The file as it is by now, of a service that was made before it was changed."""
    path = compose_file(lab, BEFORE)
    applied = lab.gputui("--file", str(path), "apply", "--yes", "--settle", "0.5")
    assert applied.returncode == 0, applied.stderr
    for place in ("/cache", "/scratch"):
        lab.inside("ai-llm-1", "sh", "-c", f"echo kept > {place}/it")
    path.write_text(AFTER)
    return path


def model(lab: Lab) -> str:
    return lab.process_environment("ai-llm-1")["MODEL"]


def test_a_changed_file_is_told_and_not_taken_in_unasked(lab: Lab, file: Path) -> None:
    assert "differs from its Compose file: environment" in lab.gputui("--file", str(file), "plan").stdout
    assert lab.gputui("--file", str(file), "apply", "--yes").stdout.strip().endswith("nothing to do")
    assert model(lab) == "one"


def test_it_is_made_anew_as_the_file_says_and_keeps_its_volumes(lab: Lab, file: Path) -> None:
    done = lab.gputui("--file", str(file), "apply", "--refresh", "llm", "--yes", "--settle", "0.5")
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert model(lab) == "two"
    assert lab.nodes("ai-llm-1") == {"nvidia1"}
    assert [lab.inside("ai-llm-1", "cat", f"{place}/it").strip() for place in ("/cache", "/scratch")] == ["kept"] * 2
    found = lab.inspect("ai-llm-1")
    assert found["HostConfig"]["RestartPolicy"]["Name"] in ("", "no")
    assert set(found["NetworkSettings"]["Networks"]) == {"ai_back"}
    made = lab.engine.client().volumes.get("ai_models")
    assert made.attrs["Labels"]["com.docker.compose.volume"] == "models"
    assert set(lab.names()) == {"ai-llm-1"}


def test_what_does_not_come_up_is_as_it_was_and_not_as_the_file_says(lab: Lab, file: Path) -> None:
    before = lab.inspect("ai-llm-1")
    moved = lab.gputui("--file", str(file), "assign", "llm", "--gpus", "2")
    assert moved.returncode == 0, moved.stderr
    refusing = lab.folder / f"hook.refuses.{uuid_of(2)}"
    refusing.write_text("")
    try:
        done = lab.gputui("--file", str(file), "apply", "--refresh", "llm", "--yes", "--settle", "0.5")
    finally:
        refusing.unlink()
    assert done.returncode == 4, (done.stdout, done.stderr)
    after = lab.inspect("ai-llm-1")
    assert (after["Id"], after["State"]["Running"]) == (before["Id"], True)
    assert after["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert model(lab) == "one"
    assert set(lab.names()) == {"ai-llm-1"}
