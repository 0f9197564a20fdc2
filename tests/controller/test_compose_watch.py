"""The Compose project, read at the first look and again when one of its files changes."""

import os
from pathlib import Path

import pytest

from gputui.compose import docker_compose
from gputui.compose.files import ComposeFiles
from gputui.controller.watch import compose_watch
from gputui.controller.watch.compose_watch import ComposeWatch
from gputui.domain.errors import Refusal, UsageError

RIGHT = "services:\n  llm:\n    image: vllm\n    gpus: all\n"
BROKEN = "services:\n  llm: [1\n"


@pytest.fixture(autouse=True)
def _no_compose_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_compose, "compose_command", lambda: None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "compose.yaml"


def write(path: Path, text: str) -> None:
    path.write_text(text)
    os.utime(path, ns=(path.stat().st_mtime_ns, path.stat().st_mtime_ns + len(text)))


def names(watch: ComposeWatch) -> list[str]:
    return [service.name for service in watch.project.services] if watch.project else []


def test_it_is_read_at_the_first_look(path: Path) -> None:
    write(path, RIGHT)
    watch = ComposeWatch(ComposeFiles((path,)), None)
    assert watch.project is None
    watch.look()
    assert names(watch) == ["llm"]


def test_what_is_wrong_at_the_first_look_is_a_note_and_goes_when_it_is_mended(path: Path) -> None:
    write(path, BROKEN)
    watch = ComposeWatch(ComposeFiles((path,)), None)
    watch.look()
    assert watch.note is not None
    assert watch.note.startswith("compose.yaml:")
    assert "what was read before" not in watch.note
    write(path, RIGHT)
    watch.look()
    assert names(watch) == ["llm"]
    assert not watch.note


def test_a_change_that_cannot_be_read_leaves_the_project_as_it_was(path: Path) -> None:
    write(path, RIGHT)
    watch = ComposeWatch(ComposeFiles((path,)), None)
    watch.look()
    write(path, BROKEN)
    watch.look()
    assert names(watch) == ["llm"]
    assert watch.note is not None
    assert watch.note.endswith("(what was read before stays)")


def test_what_was_missing_elsewhere_is_looked_for_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose_watch, "AGAIN_S", 0.0)
    write(path, "services:\n  llm: {image: 'vllm:${TAG:?}', gpus: all}\n")
    watch = ComposeWatch(ComposeFiles((path,)), None)
    watch.look()
    assert watch.note is not None
    assert "TAG" in watch.note
    (path.parent / ".env").write_text("TAG=1\n")
    watch.look()
    assert names(watch) == ["llm"]
    assert not watch.note


def test_nothing_may_be_done_as_if_there_were_no_file_until_it_is_read(path: Path) -> None:
    write(path, BROKEN)
    watch = ComposeWatch(ComposeFiles((path,)), None)
    with pytest.raises(Refusal, match="not read yet"):
        watch.check_read()
    watch.look()
    with pytest.raises(Refusal, match="not YAML"):
        watch.check_read()
    write(path, RIGHT)
    watch.look()
    watch.check_read()
    ComposeWatch(ComposeFiles(), None).check_read()


def test_whoever_asks_for_it_at_once_is_told_what_is_wrong(path: Path) -> None:
    write(path, BROKEN)
    with pytest.raises(UsageError, match=r"compose\.yaml:"):
        ComposeWatch(ComposeFiles((path,)), None).read()


def test_a_file_that_is_not_there_is_missing(path: Path) -> None:
    assert ComposeWatch(ComposeFiles((path,)), None).is_missing
    write(path, RIGHT)
    assert not ComposeWatch(ComposeFiles((path,)), None).is_missing
    assert not ComposeWatch(ComposeFiles(), None).is_missing
