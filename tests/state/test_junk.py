"""State, scenarios and files to import that hold anything: they are read, or it is said in words what is wrong."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gputui.apply.transaction import Transaction, on_record
from gputui.domain.assignment import Assignment, Assignments
from gputui.domain.service import Edit, ServiceKey
from gputui.simulated.scenario import read_scenario
from gputui.state.applies import Applies
from gputui.state.database import Database
from gputui.state.file_io import packaged
from gputui.state.json_values import to_json
from gputui.state.peaks import Peaks
from gputui.state.revisions import Revisions
from gputui.state.saved_files import SavedFiles, edited
from gputui.state.state_file import StateFile, export_state, latest, masked, read_assignments, read_file, restore
from tests.builders import gpu, words
from tests.junk import documents, own_errors_only, tried, utf8_texts

KEY = ServiceKey("there", "ai", "llm")
HOST = [gpu(index) for index in range(3)]
EDIT = Edit(argument="--api-key", value="sesame", reason="set by alice")
SAVED = Assignments(revision=1, items=(Assignment(key=KEY, gpus=(HOST[0].uuid,), budget_mib=2048, edits=(EDIT,)),))
PLANNED = Transaction(revision=1, operator="alice", reason=words("r"), tasks=(), token="t")
BODIES = [yaml.safe_load(to_json(SAVED)), yaml.safe_load(to_json(PLANNED)), {"llm": "done"}, {"llm": ["GPU-0"]}]


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


bodies = st.sampled_from(BODIES).flatmap(documents).map(_text)
columns = st.one_of(
    st.sampled_from(
        [0, 1, -1, 2**63 - 1, -(2**63), 1.5, float("inf"), b"\xff\0", b"", "running", "done", "failed", "operation"]
    ),
    st.sampled_from(["watch it come up", "started", "2025-01-01T00:00:00.000Z", "2025-01-01", "{}", "a/b/c/1"]),
    utf8_texts,
    bodies,
    st.none(),
)


def write_row(path: Path, table: str, row: dict[str, Any]) -> bool:
    """The row in place of all others; whether the table can hold it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for other in ("revisions", "applies", "events", "journal", "kept_logs", "observed_peaks", "files", "saving"):
            connection.execute(f"DELETE FROM {other}")
        try:
            names, marks = ", ".join(row), ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))
        except sqlite3.Error:
            return False
    return True


def rows(**known: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Rows of which up to all columns are junk."""
    return st.fixed_dictionaries({name: st.just(value) | columns for name, value in known.items()})


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    return Database(tmp_path_factory.mktemp("state") / "gputui.sqlite3")


def check(database: Database, table: str, row: dict[str, Any], *reads: Callable[[], object]) -> None:
    if write_row(database.path, table, row):
        for read in reads:
            with own_errors_only():
                read()


@tried(60)
@given(
    row=rows(revision=1, saved_at="2025-01-01T00:00:00.000Z", author="a", reason="r", strategy="", body=to_json(SAVED))
)
def test_a_revision_of_junk_in_the_state_crashes_nothing(database: Database, row: dict[str, Any]) -> None:
    """It is said in words that it cannot be read."""
    found = Revisions(database)
    check(
        database, "revisions", row, found.latest, found.all, lambda: found.at(1), lambda: export_state(database, "here")
    )


@tried(80)
@given(
    row=rows(
        id=1, revision=1, operator="a", reason="r", started_at="2025-01-01T00:00:00.000Z", ended_at=None,
        result="running", services='{"llm": "running"}', message="", pid=None, pid_start=None, body=to_json(PLANNED),
        missing="{}", failures="{}", cancelled_by="", reason_kind="edited-on-screen", reason_values="{}",
    )
)  # fmt: skip
def test_an_apply_of_junk_in_the_state_crashes_nothing(database: Database, row: dict[str, Any]) -> None:
    """Nor does what it was to do."""
    found = Applies(database)
    reads = (
        found.all,
        found.open,
        lambda: found.record(1),
        lambda: on_record(found, 1),
        lambda: found.cancelled_by(1),
    )
    check(database, "applies", row, *reads, lambda: export_state(database, "here"))


@tried(60)
@given(row=rows(apply_id=1, number=1, at="2025-01-01T00:00:00.000Z", kind="operation", progress="started",
                text="watch it come up", service="llm", operation="watch", code="operation",
                details="{}"), progress=st.sampled_from(["started", "done"]))  # fmt: skip
def test_events_of_junk_in_the_state_crash_nothing(database: Database, row: dict[str, Any], progress: str) -> None:
    """Nor does the time that a start took by them."""
    found = Applies(database)
    if not write_row(database.path, "events", row):
        return
    with closing(sqlite3.connect(database.path, isolation_level=None)) as connection:
        connection.execute(
            "INSERT OR REPLACE INTO applies (id, revision, operator, reason, started_at, result, services, message,"
            " body) VALUES (1, 1, 'a', 'r', '', 'done', '{}', '', '')"
        )
        connection.execute(
            "INSERT OR REPLACE INTO events (apply_id, number, at, kind, progress, text, service, operation)"
            " VALUES (1, 9, '2025-01-01', 'operation', ?, 'watch it come up', 'llm', 'watch')",
            (progress,),
        )
    for read in (
        lambda: found.events(1),
        lambda: found.start_times(("llm", "ai/llm")),
        lambda: export_state(database, "h"),
    ):
        with own_errors_only():
            read()


@tried(50)
@given(row=rows(apply_id=1, task=0, operation=0, state="done", old_id=None, new_id="a", at=""))
def test_a_journal_of_junk_in_the_state_crashes_nothing(database: Database, row: dict[str, Any]) -> None:
    """Whatever its columns hold."""
    check(database, "journal", row, lambda: Applies(database).journal(1))


@tried(50)
@given(row=rows(apply_id=1, service="llm", container_id="a", log=b"x", full_name="ai/llm"))
def test_kept_logs_of_junk_in_the_state_crash_nothing(database: Database, row: dict[str, Any]) -> None:
    """Also where they are no logs."""
    found = Applies(database)
    check(database, "kept_logs", row, lambda: found.kept_logs(1), lambda: found.last_kept_log(KEY))


@tried(50)
@given(row=rows(image="a", arguments="b", gpus=1, gpu_total_mib=80, peak_mib=5, at=""))
def test_peaks_of_junk_in_the_state_crash_nothing(database: Database, row: dict[str, Any]) -> None:
    """What is no size is none."""
    check(database, "observed_peaks", row, Peaks(database).all, lambda: export_state(database, "here"))


@tried(50)
@given(row=rows(path="/nonexistent/a", text="b"))
def test_saved_files_of_junk_in_the_state_crash_nothing(database: Database, row: dict[str, Any]) -> None:
    """Whatever their paths are made of."""
    found = SavedFiles(database, database.path.parent)
    check(database, "files", row, lambda: edited(found.saved()))


@tried(50)
@given(raw=st.binary(max_size=200), head=st.sampled_from([b"", b"SQLite format 3\0"]))
def test_a_state_file_of_any_bytes_is_refused_in_words(tmp_path: Path, raw: bytes, head: bytes) -> None:
    """Also where it begins as one of SQLite."""
    path = tmp_path / f"{uuid4().hex}.sqlite3"
    path.write_bytes(head + raw)
    with own_errors_only():
        Revisions(Database(path)).all()


TABLES = {
    "revisions": [[1, "2025-01-01", "alice", "first", "", to_json(SAVED)]],
    "applies": [[1, 1, "alice", "r", "2025-01-01", None, "done", '{"llm": "done"}', ""]],
    "events": [[1, 1, "2025-01-01", "step", "done", "text", "llm"]],
    "observed_peaks": [["image", "arguments", 1, 81920, 1000, "2025-01-01"]],
}
STATE = {"format": 1, "kind": "gputui state", "host": "there", "exported_at": "2025-01-01", "tables": TABLES}


@tried(60)
@given(raw=documents(STATE))
def test_an_exported_state_of_junk_is_refused_in_words(database: Database, tmp_path: Path, raw: bytes) -> None:
    """And what is brought back of one can be read."""
    path = tmp_path / "state.json"
    path.write_bytes(raw)
    write_row(database.path, "files", {"path": "a", "text": "b"})
    with own_errors_only():
        state = read_file(path)
        if isinstance(state, StateFile):
            with own_errors_only():
                assert (latest(state, "here"), masked(state)) is not None
            restore(database, state, "here")
            assert (Revisions(database).all(), Applies(database).all(), Peaks(database).all()) is not None
            assert (Applies(database).events(1), export_state(database, "here")) is not None


WRITTEN = {
    "revision": 3,
    "assignments": {
        "llm": {
            "gpus": ["0", 1],
            "uuids": [HOST[0].uuid],
            "enabled": True,
            "vram_budget_mib": 5,
            "priority": 1,
            "edits": {"--api-key": "••••", "--a": None},
            "adopted": True,
        },
        "ai/llm": {"gpus": []},
        "nobody": {},
    },
}


@tried(80)
@given(raw=documents(WRITTEN, yaml=True))
def test_assignments_of_junk_written_by_hand_are_refused_in_words(tmp_path: Path, raw: bytes) -> None:
    """The service is named, or the line."""
    path = tmp_path / "gpu-assignments.yml"
    path.write_bytes(raw)
    with own_errors_only():
        found = read_file(path)
        if isinstance(found, dict):
            read_assignments(found, [KEY], SAVED, HOST, "bob")


SCENARIO = yaml.safe_load((packaged("configs") / "scenarios" / "h100-server.yaml").read_text())
SMALL = {key: value[:2] if isinstance(value, list) else value for key, value in SCENARIO.items()}


@tried(50)
@given(raw=documents(SMALL, yaml=True))
def test_a_scenario_of_junk_is_refused_in_words(tmp_path: Path, raw: bytes) -> None:
    """The place in it is named."""
    path = tmp_path / "a.yaml"
    path.write_bytes(raw)
    with own_errors_only():
        read_scenario(str(path))
