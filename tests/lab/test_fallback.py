"""A GPU that is gone when a service is to start on it."""

import os
from pathlib import Path

import pytest

from tests.lab.conftest import Lab, file_with_fallback
from tests.lab.driver import uuid_of
from tests.terminal import Terminal

pytestmark = pytest.mark.lab


def project(lab: Lab, policy: str) -> tuple[str, str]:
    """The service runs on GPU 0 and is assigned GPU 1, which the driver does not know any more."""
    file = file_with_fallback(lab, 0, policy)
    assert lab.gputui(*file, "apply", "--yes", "--settle", "0.5").returncode == 0
    lab.loaded("ai-llm-1")
    assert lab.gputui(*file, "assign", "llm", "--gpus", "1", "--yes").returncode == 0
    # GPU 0 has no room for it any more, so that another one is next best.
    lab.driver.strangers = [("0", os.getpid(), 80_000)]
    lab.driver.write()
    Path(lab.folder / f"hook.refuses.{uuid_of(1)}").touch()
    return file


@pytest.fixture(autouse=True)
def _the_driver_knows_it_again(lab: Lab) -> object:
    yield
    (lab.folder / f"hook.refuses.{uuid_of(1)}").unlink(missing_ok=True)


def test_auto_gives_it_the_next_best_gpu_as_a_revision_of_its_own(lab: Lab) -> None:
    file = project(lab, "auto")
    applied = lab.gputui(*file, "apply", "--yes", "--settle", "0.5")
    assert applied.returncode == 0, (applied.stdout, applied.stderr)
    (node,) = lab.nodes("ai-llm-1")
    assert node not in ("nvidia0", "nvidia1")
    history = lab.json(*file, "history")
    assert history["revisions"][0]["reason"].startswith("fallback: GPU 1 was gone when llm was to start")
    assert [one["result"] for one in history["applies"][:2]] == ["done", "rolled_back"]
    findings = lab.json(*file, "findings")["findings"]
    assert "fell-back" in {one["code"] for one in findings}


def test_never_leaves_it_where_it_was_and_says_so(lab: Lab) -> None:
    file = project(lab, "never")
    applied = lab.gputui(*file, "apply", "--yes", "--settle", "0.5")
    assert applied.returncode == 4
    assert "unknown device" in applied.stderr
    assert lab.nodes("ai-llm-1") == {"nvidia0"}
    findings = lab.json(*file, "findings")["findings"]
    assert "gpu-gone-at-start" in {one["code"] for one in findings}


def test_ask_waits_for_somebody_to_say_yes(lab: Lab) -> None:
    file = project(lab, "ask")
    assert lab.gputui(*file, "apply", "--yes", "--settle", "0.5").returncode == 4
    assert lab.nodes("ai-llm-1") == {"nvidia0"}
    asked = lab.gputui(*file, "fallback")
    assert asked.returncode == 2
    assert "is the next best that fits" in asked.stdout
    assert lab.gputui(*file, "fallback", "--yes", "--settle", "0.5").returncode == 0
    assert not lab.nodes("ai-llm-1") & {"nvidia0", "nvidia1"}


def test_it_is_asked_for_and_answered_on_the_screen(lab: Lab) -> None:
    file = project(lab, "ask")
    assert lab.gputui(*file, "apply", "--yes", "--settle", "0.5").returncode == 4
    terminal = Terminal(lab.command(*file), lab.environment())
    try:
        terminal.expect("GPU gone at start")
        terminal.keys("b")
        terminal.expect("Assign and apply this?")
        terminal.keys("y")
        terminal.expect("the apply is done")
        assert not lab.nodes("ai-llm-1") & {"nvidia0", "nvidia1"}
    finally:
        terminal.kill()
