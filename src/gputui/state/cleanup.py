"""Removes old data from the state, so that it does not grow for ever."""

import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress

from gputui.domain.errors import GputuiError
from gputui.domain.retention import Removed, Retention
from gputui.domain.text import moment
from gputui.state.applies import json_object
from gputui.state.database import Database

DAY_S = 86_400.0


def remove_old(
    database: Database, retention: Retention, *, now_s: float | None = None, dry_run: bool = False
) -> Removed:
    """Remove what is neither needed nor within the limits; with `dry_run` only report what that would be.

    Needed are: an apply that runs or may have left something, the last apply of each service, the revisions of the
    remaining applies, the first revision (the original assignments, to roll back to), and the last log of each service.
    """
    size_before = database.size()
    oldest = (time.time() if now_s is None else now_s) - retention.days * DAY_S
    with database.writing() as connection:
        applies = _old_applies(connection, retention, oldest)
        logs = _old_logs(connection, retention, oldest, set(applies))
        revisions = _old_revisions(connection, retention, oldest, set(applies))
        if not dry_run:
            for table, column in (("events", "apply_id"), ("journal", "apply_id"), ("applies", "id")):
                connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(apply_id,) for apply_id in applies])
            connection.executemany("DELETE FROM kept_logs WHERE rowid = ?", [(rowid,) for rowid in logs])
            connection.executemany("DELETE FROM revisions WHERE revision = ?", [(revision,) for revision in revisions])
    return Removed(applies=len(applies), revisions=len(revisions), logs=len(logs), size=(size_before, database.size()))


def compact(database: Database) -> int:
    """Return the space of removed data to the file system; the size of the state in bytes. While an apply runs, which
    must not wait, or somebody else is writing, the space is reused for new data instead."""
    with database.reading() as connection:
        is_running = connection.execute("SELECT 1 FROM applies WHERE result = 'running'").fetchone() is not None
    if not is_running:
        with suppress(GputuiError):
            database.compact()
    return database.size()


def _beyond_limits(places: Sequence[tuple[int, str]], retention: Retention, most: int, oldest: float) -> list[int]:
    """The numbers beyond the limits, of (number, time) pairs sorted newest first."""
    return [
        number
        for place, (number, saved_at) in enumerate(places)
        if place >= min(retention.always, most) and (place >= most or (moment(saved_at) or 0.0) < oldest)
    ]


def _old_applies(connection: sqlite3.Connection, retention: Retention, oldest: float) -> list[int]:
    query = "SELECT id, started_at, result = 'running' OR body != '', services FROM applies ORDER BY id DESC"
    rows = connection.execute(query).fetchall()
    needed = {number for number, _, is_needed, _ in rows if is_needed}
    newest: dict[str, int] = {}
    for number, _, _, services in rows:
        for name in json_object(services):
            newest.setdefault(name, number)
    needed |= set(newest.values())
    old = _beyond_limits(
        [(number, str(started_at)) for number, started_at, _, _ in rows], retention, retention.applies, oldest
    )
    return [number for number in old if number not in needed]


def _old_logs(connection: sqlite3.Connection, retention: Retention, oldest: float, applies: set[int]) -> list[int]:
    """The rowids of old logs, including those of removed applies."""
    rows = connection.execute(
        "SELECT k.rowid, k.apply_id, coalesce(a.started_at, ''), coalesce(k.full_name, k.service) FROM kept_logs k"
        " LEFT JOIN applies a ON a.id = k.apply_id ORDER BY k.apply_id DESC"
    ).fetchall()
    newest: dict[str, int] = {}
    for row, _, _, service in rows:
        newest.setdefault(service, row)
    old = {
        *_beyond_limits([(row, str(started_at)) for row, _, started_at, _ in rows], retention, retention.logs, oldest)
    }
    old |= {row for row, apply_id, _, _ in rows if apply_id in applies}
    return sorted(old - set(newest.values()))


def _old_revisions(connection: sqlite3.Connection, retention: Retention, oldest: float, applies: set[int]) -> list[int]:
    rows = connection.execute("SELECT revision, saved_at FROM revisions ORDER BY revision DESC").fetchall()
    needed = {
        revision for number, revision in connection.execute("SELECT id, revision FROM applies") if number not in applies
    }
    needed |= {rows[-1][0]} if rows else set()
    old = _beyond_limits([(number, str(saved_at)) for number, saved_at in rows], retention, retention.revisions, oldest)
    return [number for number in old if number not in needed]
