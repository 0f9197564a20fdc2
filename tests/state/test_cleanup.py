"""What is removed of the past, and what never is."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gputui.apply.transaction import Transaction, put_on_record
from gputui.domain.assignment import Assignments
from gputui.domain.errors import UsageError
from gputui.domain.plan import Step
from gputui.domain.retention import Removed, Retention
from gputui.domain.service import ServiceKey
from gputui.domain.text import moment
from gputui.state.applies import Applies, JournalEntry, NewEvent
from gputui.state.cleanup import compact, remove_old
from gputui.state.database import Database
from gputui.state.revisions import Revisions
from tests.builders import words

NOW = moment("2026-01-01T00:00:00Z")
DAY_S = 86_400


def at(days_ago: float) -> str:
    assert NOW is not None
    return datetime.fromtimestamp(NOW - days_ago * DAY_S, UTC).isoformat()


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "state.sqlite3")


def save(database: Database, days_ago: list[float]) -> None:
    """Revisions 1, 2, … of these ages."""
    with database.writing() as connection:
        for number, age in enumerate(days_ago, 1):
            Revisions.insert(
                connection, Assignments(revision=number, saved_at=at(age), author="alice", reason=words("r"))
            )


def apply(database: Database, days_ago: float, *, revision: int = 1, result: str = "done", service: str = "") -> int:
    """An apply of this age with an event, a line of journal and, for a service, a kept log."""
    applies = Applies(database)
    number = put_on_record(
        applies, Transaction(revision=revision, operator="alice", reason=words("r"), tasks=(), token="t")
    )
    applies.note(number, JournalEntry(task=0, operation=0, state="done", old_id=None, new_id=None))
    applies.add_event(number, NewEvent("operation", "done", words("stop it"), service or None))
    if service:
        step = Step(action="recreate", service=ServiceKey("host", "ai", service), name=service, cause="moved")
        applies.keep_log(number, step, "id", [os.urandom(2000)])
    if result == "running":
        applies.claim(number, os.getpid())
    else:
        applies.end(number, "failed" if result == "failed" else "done", {}, "")
    with database.writing() as connection:
        connection.execute("UPDATE applies SET started_at = ? WHERE id = ?", (at(days_ago), number))
    return number


def numbers(database: Database) -> list[int]:
    return [record.id for record in Applies(database).all(1000)]


def remove(database: Database, **limits: float) -> Removed:
    return remove_old(database, replace(Retention(always=0), **limits), now_s=NOW)  # type: ignore[arg-type]


def test_what_is_within_the_limits_stays(database: Database) -> None:
    save(database, [3, 2, 1])
    apply(database, 1, service="llm")
    assert not remove(database).anything
    assert numbers(database) == [1]


def test_applies_beyond_the_number_go_with_their_events_and_journal(database: Database) -> None:
    for age in (5, 4, 3):
        apply(database, age)
    assert remove(database, applies=2).applies == 1
    assert numbers(database) == [3, 2]
    assert Applies(database).events(1) == ()
    assert Applies(database).journal(1) == ()
    with pytest.raises(UsageError, match="no apply 1"):
        Applies(database).record(1)


def test_applies_that_are_too_old_go(database: Database) -> None:
    for age in (400, 300):
        apply(database, age)
    assert remove(database, days=365).applies == 1
    assert numbers(database) == [2]


def test_the_newest_stay_however_old(database: Database) -> None:
    for age in (500, 450, 400):
        apply(database, age)
    remove(database, always=2)
    assert numbers(database) == [3, 2]


@pytest.mark.parametrize("result", ["running", "failed"])
def test_an_apply_that_may_have_left_something_stays(database: Database, result: str) -> None:
    apply(database, 900, result=result)
    assert remove(database, applies=1).applies == 0
    assert Applies(database).open()


def test_a_revision_that_an_apply_carried_out_stays(database: Database) -> None:
    save(database, [900, 800, 700, 1])
    apply(database, 2, revision=2)
    assert remove(database).revisions == 1
    assert [one.revision for one in Revisions(database).all()] == [4, 2, 1]


def test_what_was_found_at_first_stays_to_be_rolled_back_to(database: Database) -> None:
    save(database, [900, 800])
    remove(database)
    assert [one.revision for one in Revisions(database).all()] == [1]


def test_the_last_log_of_each_service_stays(database: Database) -> None:
    for service in ("llm", "llm", "asr"):
        apply(database, 900, service=service)
    assert remove(database).logs == 1
    applies = Applies(database)
    assert applies.last_kept_log(ServiceKey("host", "ai", "llm"))
    assert applies.last_kept_log(ServiceKey("host", "ai", "asr"))


def test_logs_have_a_number_of_their_own(database: Database) -> None:
    for _ in range(4):
        apply(database, 1, service="llm")
    removed = remove(database, logs=2)
    assert (removed.applies, removed.logs) == (0, 2)
    assert numbers(database) == [4, 3, 2, 1]


def test_a_limit_of_one_kind_leaves_the_others_alone(database: Database) -> None:
    for _ in range(4):
        apply(database, 900, service="llm")
    remove(database, logs=1, always=20)
    assert numbers(database) == [4, 3, 2, 1]


def test_the_last_apply_of_each_service_stays(database: Database) -> None:
    """A failed launch is told until it is dealt with."""
    for _ in range(3):
        apply(database, 900)
    with database.writing() as connection:
        connection.execute('UPDATE applies SET services = \'{"llm": "rolled_back"}\' WHERE id = 1')
    remove(database)
    assert numbers(database) == [1]


def test_a_dry_run_removes_nothing(database: Database) -> None:
    apply(database, 900)
    assert remove_old(database, Retention(always=0), now_s=NOW, dry_run=True).applies == 1
    assert numbers(database) == [1]


def test_the_space_is_given_back(database: Database) -> None:
    for _ in range(100):
        apply(database, 1, service="llm")
    before = compact(database)
    remove(database, applies=1, logs=1)
    assert compact(database) < before / 2


def test_while_an_apply_runs_nothing_is_moved_about(database: Database) -> None:
    for _ in range(100):
        apply(database, 1, service="llm")
    before = compact(database)
    remove(database, applies=1, logs=1)
    apply(database, 0, result="running")
    assert compact(database) >= before


@settings(max_examples=30, deadline=None)
@given(
    ages=st.lists(st.floats(0, 1000), max_size=12), most=st.integers(1, 6), always=st.integers(0, 4),
    days=st.floats(1, 900),
)  # fmt: skip
def test_the_newest_is_never_removed_before_an_older_one(
    tmp_path_factory: pytest.TempPathFactory, ages: list[float], most: int, always: int, days: float
) -> None:
    database = Database(tmp_path_factory.mktemp("state") / "state.sqlite3")
    ages = sorted(ages, reverse=True)
    for age in ages:
        apply(database, age)
    remove(database, applies=most, always=always, days=days)
    kept = numbers(database)
    assert kept == list(range(len(ages), len(ages) - len(kept), -1)), "an unbroken run from the newest on"
    assert len(kept) >= min(always, most, len(ages))
    assert len(kept) <= most
