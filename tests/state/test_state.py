"""Saved state: revisions, applies, the generated files, and where they live."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from gputui.apply.transaction import Transaction, on_record, put_on_record
from gputui.compose.files import ComposeFiles
from gputui.compose.generated import Overridden, assignments_text, override_text
from gputui.compose.reading import read_project
from gputui.domain.assignment import Assignment, Assignments
from gputui.domain.errors import UsageError
from gputui.domain.service import ServiceKey
from gputui.planning.changes.container_view import container_view
from gputui.state.applies import Applies, JournalEntry, NewEvent
from gputui.state.database import Database
from gputui.state.revisions import Revisions, revision_after
from gputui.state.state_dir import state_dir
from tests.builders import gpu, words

KEY = ServiceKey("host", "ai", "llm")
HOST = [gpu(index) for index in range(4)]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "state.sqlite3")


def assigned(*indices: int) -> Assignments:
    item = Assignment(key=KEY, gpus=tuple(HOST[index].uuid for index in indices), adopted=True)
    return Assignments(items=(item,))


def save(database: Database, assignments: Assignments, author: str = "alice") -> Assignments:
    revisions = Revisions(database)
    saved = revision_after(revisions.latest(), assignments, author=author, reason=words("test"))
    with database.writing() as connection:
        revisions.insert(connection, saved)
    return saved


def test_every_revision_is_kept(database: Database) -> None:
    revisions = Revisions(database)
    assert revisions.latest() == Assignments()
    first = save(database, assigned(0))
    second = save(database, assigned(2, 1))
    assert (first.revision, second.revision) == (1, 2)
    assert revisions.latest() == second
    assert revisions.at(1) == first
    with pytest.raises(UsageError, match="no revision 9"):
        revisions.at(9)


def test_a_write_that_fails_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.writing() as connection:
            Revisions(database).insert(connection, replace(assigned(0), revision=1))
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert Revisions(database).latest().revision == 0


def test_an_apply_is_on_record_with_journal_and_events(database: Database) -> None:
    applies = Applies(database)
    transaction = Transaction(revision=1, operator="alice", reason=words("r"), tasks=(), token="t")
    number = put_on_record(applies, transaction)
    assert on_record(applies, number) == transaction
    applies.claim(number, os.getpid())
    assert applies.record(number).alive
    applies.add_event(number, NewEvent("operation", "started", words("stop it"), "llm"))
    applies.add_event(number, NewEvent("operation", "done", words("stop it"), "llm"))
    assert [event.number for event in applies.events(number, after_number=1)] == [2]
    entry = JournalEntry(task=0, operation=3, state="started", old_id="old", new_id=None)
    applies.note(number, entry)
    assert applies.journal(number) == (replace(entry, order=1),)
    assert [record.id for record in applies.open()] == [number]
    applies.end(number, "done", {"llm": "done"}, "")
    assert applies.open() == ()
    assert applies.record(number).result == "done"
    assert applies.events(number)[-1].kind == "result"


def test_an_apply_whose_process_is_gone_is_not_alive(database: Database) -> None:
    applies = Applies(database)
    number = put_on_record(applies, Transaction(revision=1, operator="a", reason=words(""), tasks=(), token="t"))
    applies.claim(number, 2**22 + 1)
    assert not applies.record(number).alive


def test_a_database_of_a_newer_gputui_is_refused(database: Database) -> None:
    with database.writing() as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(UsageError, match="newer gputui"):
        Database(database.path)


def test_the_override_replaces_what_the_compose_file_asks_for(tmp_path: Path) -> None:
    compose = tmp_path / "compose.yml"
    compose.write_text("services: {llm: {image: x, gpus: all, environment: {A: b}}}")
    project = read_project(ComposeFiles((compose,)), "ai")
    (item,) = assigned(2, 0).items
    view = container_view(HOST, item.gpus)
    command = ["serve", "--name", "a$b"]
    changed = Overridden(item=item, view=view, variables={"BUDGET": "3.5"}, command=command)
    text = override_text(assigned(2, 0), project, [changed])
    assert "- a$$b" in text, "or Compose would put a variable in"
    override = tmp_path / "over.yml"
    override.write_text(text)
    (llm,) = read_project(ComposeFiles((compose, override)), "ai").services
    assert llm.gpus == (HOST[2].uuid, HOST[0].uuid)
    assert llm.gpu_count is None
    assert llm.body["Env"] == [
        "A=b",
        "BUDGET=3.5",
        "CUDA_DEVICE_ORDER=PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES=1,0",
        f"NVIDIA_VISIBLE_DEVICES={HOST[2].uuid},{HOST[0].uuid}",
    ]


def test_the_assignments_are_written_for_people(tmp_path: Path) -> None:
    del tmp_path
    data = yaml.safe_load(assignments_text(assigned(2, 0), HOST))
    assert data["assignments"]["llm"]["gpus"] == ["2", "0"]


def test_without_a_shared_place_the_state_is_the_users_own_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GPUTUI_STATE_DIR")
    monkeypatch.setattr("gputui.state.state_dir.SHARED", Path("/proc/no-such-place"))
    found = state_dir("AB:CD/../x", None)
    assert found.path == tmp_path / "xdg-state" / "gputui" / "AB-CD-..-x"
    assert found.not_shared is not None
    assert "do not share" in found.not_shared
