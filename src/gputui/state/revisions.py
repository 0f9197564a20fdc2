"""Saved assignments, each as a revision."""

import sqlite3
from dataclasses import replace

from gputui.domain.assignment import Assignments
from gputui.domain.errors import UsageError
from gputui.domain.message import Message
from gputui.state.audit import now
from gputui.state.database import Database
from gputui.state.json_values import from_json, to_json


class Revisions:
    """The revisions in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def latest(self) -> Assignments:
        """The newest revision; an empty one if nothing was saved."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT * FROM revisions ORDER BY revision DESC LIMIT 1").fetchone()
        return _assignments(row) if row else Assignments()

    def at(self, revision: int) -> Assignments:
        """One revision.

        Raises:
            UsageError: there is none with this number.
        """
        with self._database.reading() as connection:
            row = connection.execute("SELECT * FROM revisions WHERE revision = ?", (revision,)).fetchone()
        if row is None:
            raise UsageError(f"there is no revision {revision}", "see `gputui history`")
        return _assignments(row)

    def all(self, limit: int = 100) -> tuple[Assignments, ...]:
        """The newest revisions, newest first."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT * FROM revisions ORDER BY revision DESC LIMIT ?", (limit,)).fetchall()
        return tuple(_assignments(row) for row in rows)

    @staticmethod
    def insert(connection: sqlite3.Connection, saved: Assignments) -> None:
        """Write a revision within the transaction of `connection`."""
        connection.execute(
            "INSERT INTO revisions VALUES (?, ?, ?, ?, ?, ?)",
            (saved.revision, saved.saved_at, saved.author, saved.reason.text, saved.strategy, to_json(saved)),
        )


def revision_after(newest: Assignments, assignments: Assignments, *, author: str, reason: Message) -> Assignments:
    """The assignments as the revision that follows the newest one."""
    return replace(assignments, revision=newest.revision + 1, author=author, reason=reason, saved_at=now())


def _assignments(row: tuple[object, ...]) -> Assignments:
    return from_json(Assignments, str(row[5]))
