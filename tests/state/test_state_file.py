"""The state as one file, and the assignments that somebody wrote by hand."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from gputui.apply.transaction import Transaction, put_on_record
from gputui.compose.generated import assignments_text
from gputui.domain.assignment import Assignment, Assignments
from gputui.domain.errors import GputuiError, UsageError
from gputui.domain.plan import Step
from gputui.domain.service import Edit, ServiceKey
from gputui.state.applies import Applies
from gputui.state.database import Database
from gputui.state.revisions import Revisions, revision_after
from gputui.state.state_file import (
    StateFile,
    export_state,
    latest,
    masked,
    read_assignments,
    read_file,
    restore,
)
from tests.builders import gpu, words

KEY = ServiceKey("there", "ai", "llm")
HOST = [gpu(index) for index in range(3)]
SECRET = Edit(argument="--api-key", value="sesame", reason="set by alice")
LENGTH = Edit(argument="--max-model-len", value="4096", reason="set by alice")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(tmp_path / "one.sqlite3")
    item = Assignment(key=KEY, gpus=(HOST[2].uuid,), adopted=True, budget_mib=2048, edits=(SECRET, LENGTH))
    saved = revision_after(Assignments(), Assignments(items=(item,)), author="alice", reason=words("first"))
    with made.writing() as connection:
        Revisions(made).insert(connection, saved)
    applies = Applies(made)
    number = put_on_record(applies, Transaction(revision=1, operator="alice", reason=words("r"), tasks=(), token="t"))
    applies.keep_log(number, Step(action="recreate", service=KEY, name="llm", cause="moved"), "old", (b"one", b"two"))
    applies.end(number, "done", {"llm": "done"}, "")
    return made


def exported(database: Database, tmp_path: Path) -> StateFile:
    path = tmp_path / "state.json"
    path.write_text(export_state(database, "there"))
    found = read_file(path)
    assert isinstance(found, StateFile)
    return found


def test_an_exported_state_comes_back_on_another_host_with_its_history(database: Database, tmp_path: Path) -> None:
    other = Database(tmp_path / "two.sqlite3")
    restore(other, exported(database, tmp_path), "here")
    (revision,) = Revisions(other).all()
    assert (revision.author, revision.reason.text) == ("alice", "first")
    (item,) = revision.items
    assert (item.key, item.gpus, item.budget_mib) == (replace(KEY, host="here"), (HOST[2].uuid,), 2048)
    assert [(one.operator, one.result, dict(one.services)) for one in Applies(other).all()] == [
        ("alice", "done", {"llm": "done"})
    ]


def test_secrets_do_not_leave_the_machine_and_it_is_told_which_to_set_again(database: Database, tmp_path: Path) -> None:
    assert "sesame" not in export_state(database, "there")
    state = exported(database, tmp_path)
    assert latest(state, "here").items[0].edits == (LENGTH,)
    (line,) = masked(state)
    assert line.startswith("llm: --api-key is a secret")


def test_what_was_saved_already_is_not_overwritten(database: Database, tmp_path: Path) -> None:
    with pytest.raises(GputuiError, match="something was saved here already"):
        restore(database, exported(database, tmp_path), "here")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "neither JSON nor YAML"),
        ("{}", "neither an exported state nor assignments"),
        ('{"kind": "gputui state", "format": 9}', "x.json: format"),
        ("a: [", "neither JSON nor YAML"),
        ("just text", "neither an exported state"),
        ("\0", "neither JSON nor YAML"),
    ],
)
def test_a_file_that_is_no_state_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(UsageError) as raised:
        read_file(path)
    assert message in raised.value.what
    assert "\n" not in raised.value.what


def test_a_state_with_strange_tables_is_refused_and_nothing_is_written(database: Database, tmp_path: Path) -> None:
    state = exported(database, tmp_path)
    other = Database(tmp_path / "two.sqlite3")
    for tables in ({"sqlite_master": [["x"]]}, {"revisions": [["1"]]}):
        with pytest.raises(UsageError, match="not a table of a state"):
            restore(other, state.model_copy(update={"tables": tables}), "here")
    assert Revisions(other).all() == ()


def written(**changes: object) -> dict[str, object]:
    item = Assignment(key=KEY, gpus=(HOST[0].uuid,), adopted=True, edits=(SECRET,))
    found: dict[str, object] = yaml.safe_load(assignments_text(Assignments(items=(item,)), HOST))
    found["assignments"]["llm"] |= changes  # type: ignore[index]
    return found


def taken_in(found: dict[str, object]) -> Assignment:
    before = Assignments(items=(Assignment(key=KEY, gpus=(HOST[0].uuid,), adopted=True, edits=(SECRET,)),))
    (item,) = read_assignments(json.loads(json.dumps(found)), [KEY], before, HOST, "bob").assignments.items
    return item


def test_what_gputui_wrote_is_read_as_it_was() -> None:
    assert taken_in(written()) == Assignment(key=KEY, gpus=(HOST[0].uuid,), adopted=True, edits=(SECRET,))


def test_gpus_changed_by_hand_count_and_masked_secrets_stay() -> None:
    item = taken_in(written(gpus=["2", 1], enabled=False))
    assert (item.gpus, item.enabled) == ((HOST[2].uuid, HOST[1].uuid), False)
    assert item.edits == (SECRET,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gpus": ["9"]}, "llm: there is no GPU 9"),
        ({"gpus": "0"}, "llm: gpus"),
        ({"enabled": "perhaps"}, "llm: enabled"),
        ({"gpsu": []}, "llm: gpsu"),
    ],
)
def test_a_mistake_made_by_hand_is_one_clear_line(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        taken_in(written(**changes))
    assert raised.value.what.startswith(message)


def test_a_service_that_is_not_there_is_left_out_and_told() -> None:
    found = read_assignments({"assignments": {"gone": {"gpus": []}}}, [KEY], Assignments(), HOST, "bob")
    assert found.assignments.items == ()
    assert found.skipped == ("gone: there is no such service",)
