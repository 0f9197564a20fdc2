"""The edge cases that people were promised a behaviour for, row by row; the lab shows the same on a real engine."""

import subprocess
import sys
from pathlib import Path

import pytest

from gputui.controller.store import Store
from gputui.domain.assignment import Assignments
from gputui.domain.compose import ComposeProject
from gputui.domain.errors import GputuiError
from gputui.domain.injection import HostAccess
from gputui.domain.service import TypedEdit
from tests.app.conftest import Opening, open_controller  # noqa: F401 - a fixture
from tests.builders import gpu, service, words


def gputui(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gputui", *arguments],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **variables}, capture_output=True, text=True, timeout=60,
        check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_no_gpus_detected_is_said_with_the_reason() -> None:
    done = gputui("gpus", DOCKER_HOST="unix:///nonexistent/docker.sock", LD_LIBRARY_PATH="/nonexistent")
    if done.returncode == 0:
        pytest.skip("this machine has GPUs")
    assert done.returncode == 3
    assert "No GPUs detected" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_engine_unavailable_is_one_clear_error() -> None:
    done = gputui("services", DOCKER_HOST="unix:///nonexistent/docker.sock")
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_container_restart_fails_and_the_old_one_is_back(open_controller: Opening) -> None:  # noqa: F811
    controller = open_controller("mixed-server")
    service = next(one for one in controller.watch.snapshot().services if one.name == "ocr")
    controller.draft.edit([service.key], TypedEdit(gpus="0"), adopt=True)
    controller.draft.save(words("move it"))
    record = controller.history.record(controller.applies.begin(controller.applies.plan(), words("move it")))
    assert record.result == "rolled_back"
    assert record.services == {"ocr": "rolled_back"}
    assert controller.history.revisions()[1].reason.kind == "as-found", "and there is a revision to go back to"


def test_a_plan_names_the_revision_that_it_is_going_to_be(open_controller: Opening) -> None:  # noqa: F811
    controller = open_controller()
    rerank = next(one.key for one in controller.watch.snapshot().services if one.name == "ai-rerank")
    for gpus in ("3", "6"):
        controller.draft.edit([rerank], TypedEdit(gpus=gpus), adopt=True)
        planned = controller.applies.plan().revision
        assert controller.draft.save(words("move it")).revision == planned
    assert controller.applies.plan().revision == planned


def test_config_file_write_fails_and_nothing_is_saved(tmp_path: Path) -> None:
    store = Store(tmp_path)
    project = ComposeProject(name="ai", files=("/nonexistent/compose.yml",), directory="/nonexistent")
    one = service("a", gpu(0))
    with pytest.raises(GputuiError, match=r"nothing was saved|cannot be written"):
        store.save(
            0,
            Assignments(),
            author="alice",
            reason=words("x"),
            services=[one],
            as_found=[one],
            gpus=[gpu(0)],
            project=project,
            access=HostAccess(),
        )
    assert store.revisions.latest().revision == 0
