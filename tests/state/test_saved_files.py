"""Files and database are of one revision, whatever was interrupted in between."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gputui.domain.assignment import Assignments
from gputui.domain.errors import GputuiError
from gputui.domain.message import Message
from gputui.state.database import Database
from gputui.state.revisions import Revisions, revision_after
from gputui.state.saved_files import SavedFiles


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


def save(state: Path, texts: dict[Path, str]) -> None:
    database = Database(state / "state.sqlite3")
    files = SavedFiles(database, state)
    with files.one_saver():
        revisions = Revisions(database)
        saved = revision_after(revisions.latest(), Assignments(), author="a", reason=Message.of_text("r"))
        with files.together(texts) as connection:
            revisions.insert(connection, saved)


def latest(state: Path) -> int:
    return Revisions(Database(state / "state.sqlite3")).latest().revision


def test_files_are_written_with_the_revision_and_keep_their_backup(state: Path, tmp_path: Path) -> None:
    path = tmp_path / "gpu-assignments.yml"
    path.write_text("old")
    save(state, {path: "new"})
    assert (path.read_text(), (tmp_path / "gpu-assignments.yml.bak").read_text()) == ("new", "old")
    assert latest(state) == 1
    assert sorted(one.name for one in tmp_path.glob("*gpu*")) == ["gpu-assignments.yml", "gpu-assignments.yml.bak"]


def test_a_folder_that_cannot_be_written_saves_nothing(state: Path, tmp_path: Path) -> None:
    good = tmp_path / "good.yml"
    save(state, {good: "one"})
    with pytest.raises(GputuiError, match="cannot be written"):
        save(state, {good: "two", tmp_path / "gone" / "x.yml": "new"})
    assert (latest(state), good.read_text()) == (1, "one")
    assert not list(tmp_path.glob(".gputui-new*"))


class Killed(BaseException):
    """The process ends here."""


CALLS = ("replace", "fsync", "unlink", "link", "rename")


@pytest.mark.parametrize("first", [True, False])
def test_a_save_that_is_cut_anywhere_leaves_files_and_database_of_one_revision(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    """Cut before each call that touches a file; the same between any two system calls is tried in the lab."""
    one, two = tmp_path / "one.yml", tmp_path / "two.yml"
    revision = 0
    if first:
        one.write_text("by a person")
    else:
        save(state, {one: "1", two: "1"})
        revision = 1
    for cut in range(100):
        before = (one.read_text() if one.exists() else None, two.read_text() if two.exists() else None)
        left = iter(range(cut + 1))
        with monkeypatch.context() as patched:
            for name in CALLS:
                real = getattr(os, name)

                def call(
                    *arguments: object, real: object = real, left: Iterator[int] = left, **named: object
                ) -> object:
                    if next(left, None) is None:
                        raise Killed
                    return real(*arguments, **named)  # type: ignore[operator]

                patched.setattr(os, name, call)
            try:
                save(state, {one: f"new {cut}", two: f"new {cut}"})
            except Killed:
                pass
            else:
                assert cut > 5
                return
        SavedFiles(Database(state / "state.sqlite3"), state).repair()
        now = (one.read_text() if one.exists() else None, two.read_text() if two.exists() else None)
        if latest(state) == revision:
            assert now == before
        else:
            revision = latest(state)
            assert now == (f"new {cut}", f"new {cut}")
        assert not list(tmp_path.glob(".gputui-new*"))
    raise AssertionError("it was never carried out whole")
