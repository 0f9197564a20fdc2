"""A state that gputui 0.1.0 wrote is read by this one, with all its history."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gputui.apply.transaction import on_record
from gputui.apply.unit import units_of
from gputui.state.applies import Applies
from gputui.state.database import Database
from gputui.state.revisions import Revisions
from gputui.state.state_file import export_state

WRITTEN = Path(__file__).parent / "data" / "state-0.1.0.sql"


@pytest.fixture
def database(tmp_path: Path) -> Database:
    path = tmp_path / "state.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(WRITTEN.read_text())
    return Database(path)


def test_its_revisions_have_their_reasons(database: Database) -> None:
    reasons = [(saved.revision, saved.reason.kind, saved.reason.text) for saved in Revisions(database).all()]
    assert reasons == [
        (3, "fallback", "fallback: GPU 2 is gone; GPU 7 is the next best that fits"),
        (2, "text", "edited on the screen"),
        (1, "text", "as found"),
    ]


def test_its_applies_have_their_events_and_logs(database: Database) -> None:
    applies = Applies(database)
    (interrupted, done) = applies.all()
    assert (done.result, done.reason.text, done.services) == ("done", "applied on the screen", {"ai-asr": "done"})
    assert interrupted.cut_off
    assert interrupted.reason.kind == "fallback"
    texts = [event.text for event in applies.events(done.id)]
    assert texts[0] == "revision 2"
    assert "create ai-asr.new-" in texts[2]
    assert texts[-1] == "done"
    assert applies.kept_logs(done.id)["ai-asr"]


def test_how_long_its_services_took_to_start_is_known(database: Database) -> None:
    (seconds,) = Applies(database).start_times(("ai-asr", "ai/ai-asr"))
    assert 0.5 < seconds < 10


def test_the_apply_that_was_killed_can_be_resumed(database: Database) -> None:
    applies = Applies(database)
    (unit,) = units_of(on_record(applies, 2), applies.journal(2))
    assert unit.begun
    assert unit.unsettled
    assert unit.tasks[0].task.step.service.name == "ai-rerank"


def test_it_can_be_exported(database: Database) -> None:
    assert '"kind": "gputui state"' in export_state(database, "dgx-a1")
