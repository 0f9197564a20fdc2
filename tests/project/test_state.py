"""Saved state: revisions, applies, the generated files, and where they live."""

import os
from pathlib import Path

import pytest
import yaml

from gputui.domain.assignment import Assignment, Assignments
from gputui.domain.errors import Conflict, GputuiError, UsageError
from gputui.domain.plan import Transaction
from gputui.domain.service import ServiceKey
from gputui.planning.container_view import container_view
from gputui.project.applies import Applies, JournalEntry
from gputui.project.compose_file import read_project
from gputui.project.database import Database
from gputui.project.generated_files import Overridden, PreparedFiles, assignments_text, override_text
from gputui.project.revisions import Revisions
from gputui.project.state_dir import state_dir
from tests.builders import gpu

KEY = ServiceKey("host", "ai", "llm")
HOST = [gpu(index) for index in range(4)]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "state.sqlite3")


def assigned(*indices: int) -> Assignments:
    item = Assignment(key=KEY, gpus=tuple(HOST[index].uuid for index in indices), adopted=True)
    return Assignments(items=(item,))


def save(database: Database, base: int, assignments: Assignments, author: str = "alice") -> Assignments:
    with database.writing() as connection:
        return Revisions(database).insert(connection, base, assignments, author=author, reason="test")


def test_every_revision_is_kept(database: Database) -> None:
    revisions = Revisions(database)
    assert revisions.latest() == Assignments()
    first = save(database, 0, assigned(0))
    second = save(database, 1, assigned(2, 1))
    assert (first.revision, second.revision) == (1, 2)
    assert revisions.latest() == second
    assert revisions.at(1) == first
    with pytest.raises(UsageError, match="no revision 9"):
        revisions.at(9)


def test_saving_over_somebody_elses_newer_revision_is_refused(database: Database) -> None:
    save(database, 0, assigned(0), author="bob")
    with pytest.raises(Conflict, match="bob saved revision 1 meanwhile"):
        save(database, 0, assigned(1))


def test_a_write_that_fails_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.writing() as connection:
            Revisions(database).insert(connection, 0, assigned(0), author="a", reason="r")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert Revisions(database).latest().revision == 0


def test_an_apply_is_on_record_with_journal_and_events(database: Database) -> None:
    applies = Applies(database)
    transaction = Transaction(
        revision=1, operator="alice", reason="r", tasks=(), token="t", settle_s=1, health_limit_s=1
    )
    number = applies.begin(transaction)
    assert applies.transaction(number) == transaction
    applies.claim(number, os.getpid())
    assert applies.record(number).alive
    applies.add_event(number, "operation", "started", "stop it", "llm")
    applies.add_event(number, "operation", "done", "stop it", "llm")
    assert [event.number for event in applies.events(number, after=1)] == [2]
    entry = JournalEntry(task=0, operation=3, state="started", old_id="old", new_id=None)
    applies.note(number, entry)
    assert applies.journal(number) == (entry,)
    assert [record.id for record in applies.unfinished()] == [number]
    applies.end(number, "done", {"llm": "done"}, "")
    assert applies.unfinished() == ()
    assert not applies.record(number).alive


def test_an_apply_whose_process_is_gone_is_not_alive(database: Database) -> None:
    applies = Applies(database)
    number = applies.begin(
        Transaction(revision=1, operator="a", reason="", tasks=(), token="t", settle_s=1, health_limit_s=1)
    )
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
    project = read_project([compose], "ai")
    (item,) = assigned(2, 0).items
    view = container_view(HOST, item.gpus)
    command = ["serve", "--name", "a$b"]
    changed = Overridden(item=item, view=view, variables={"BUDGET": "3.5"}, command=command)
    text = override_text(assigned(2, 0), project, [changed])
    assert "- a$$b" in text, "or Compose would put a variable in"
    override = tmp_path / "over.yml"
    override.write_text(text)
    (llm,) = read_project([compose, override], "ai").services
    assert llm.gpus == (HOST[2].uuid, HOST[0].uuid)
    assert llm.gpu_count is None
    assert llm.body["Env"] == [
        "A=b",
        f"NVIDIA_VISIBLE_DEVICES={HOST[2].uuid},{HOST[0].uuid}",
        "CUDA_VISIBLE_DEVICES=1,0",
        "CUDA_DEVICE_ORDER=PCI_BUS_ID",
        "BUDGET=3.5",
    ]


def test_the_assignments_are_written_for_people(tmp_path: Path) -> None:
    del tmp_path
    data = yaml.safe_load(assignments_text(assigned(2, 0), HOST))
    assert data["assignments"]["llm"]["gpus"] == ["2", "0"]


def test_files_are_put_in_place_together_and_keep_their_backup(tmp_path: Path) -> None:
    path = tmp_path / "gpu-assignments.yml"
    path.write_text("old")
    files = PreparedFiles({path: "new"})
    assert path.read_text() == "old"
    files.put_in_place()
    assert (path.read_text(), (tmp_path / "gpu-assignments.yml.bak").read_text()) == ("new", "old")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["gpu-assignments.yml", "gpu-assignments.yml.bak"]


def test_a_folder_that_is_not_there_saves_nothing(tmp_path: Path) -> None:
    with pytest.raises(GputuiError, match="cannot be written"):
        PreparedFiles({tmp_path / "gone" / "x.yml": "new"})


def test_without_a_shared_place_the_state_is_the_users_own_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GPUTUI_STATE_DIR")
    monkeypatch.setattr("gputui.project.state_dir.SHARED", Path("/proc/no-such-place"))
    found = state_dir("AB:CD/../x", None)
    assert found.path == tmp_path / "xdg-state" / "gputui" / "AB-CD-..-x"
    assert found.not_shared is not None
    assert "do not share" in found.not_shared
