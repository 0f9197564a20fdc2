"""Recorded applies: the transaction of each, its journal, its events, and how it ended."""

import json
import sqlite3
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gputui.domain.errors import Conflict, UsageError
from gputui.domain.event import WATCH, ApplyEvent, ApplyRecord, EventKind, Progress, Result
from gputui.domain.message import Message
from gputui.domain.plan import Step
from gputui.domain.service import ServiceKey
from gputui.domain.text import clean, mapping, moment, sequence, whole_number
from gputui.state.audit import now, seconds_since
from gputui.state.database import Database

STARTING_S = 15.0

JournalState = Literal["started", "done", "undone"]

_COLUMNS = (
    "id, revision, operator, reason, started_at, ended_at, result, services, message, pid, pid_start, missing,"
    " failures, reason_kind, reason_values"
)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that is about to be recorded."""

    kind: EventKind
    progress: Progress
    message: Message
    service: str | None = None
    operation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """The state of one operation, and the containers that its task had at that point; `order` grows with each entry."""

    task: int
    operation: int
    state: JournalState
    old_id: str | None
    new_id: str | None
    order: int = 0


class Applies:
    """The applies in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, *, revision: int, operator: str, reason: Message, services: Iterable[str], body: str) -> int:
        """Record an apply with its transaction (`body`, which only the apply itself reads); its number.

        Raises:
            Conflict: another apply is running.
        """
        with self._database.writing() as connection:
            for row in connection.execute(f"SELECT {_COLUMNS} FROM applies WHERE result = 'running'"):
                record = _record(row)
                if record.alive:
                    raise Conflict(f"{record.operator} is applying revision {record.revision}", "wait for it to end")
            cursor = connection.execute(
                "INSERT INTO applies (revision, operator, reason, started_at, result, services, message, body,"
                " reason_kind, reason_values) VALUES (?, ?, ?, ?, 'running', ?, '', ?, ?, ?)",
                (
                    revision,
                    operator,
                    reason.text,
                    now(),
                    json.dumps(dict.fromkeys(services, "running")),
                    body,
                    reason.kind,
                    json.dumps(dict(reason.values)),
                ),
            )
            return int(cursor.lastrowid or 0)

    def claim(self, apply_id: int, pid: int) -> None:
        """Record the process that carries it out."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE applies SET pid = ?, pid_start = ? WHERE id = ?", (pid, _start_time(pid), apply_id)
            )

    def reopen(self, apply_id: int, pid: int) -> None:
        """Mark it as running again, in the process `pid` until the process that resumes it claims it."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE applies SET result = 'running', ended_at = NULL, cancelled_by = '', pid = ?, pid_start = ?"
                " WHERE id = ?",
                (pid, _start_time(pid), apply_id),
            )

    def body(self, apply_id: int) -> str:
        """Its transaction.

        Raises:
            UsageError: there is no such apply.
        """
        with self._database.reading() as connection:
            row = connection.execute("SELECT body FROM applies WHERE id = ?", (apply_id,)).fetchone()
        if row is None or not row[0]:
            raise UsageError(f"there is no apply {apply_id} to carry out", "see `gputui history`")
        return str(row[0])

    def end(
        self,
        apply_id: int,
        result: Result,
        services: Mapping[str, str],
        message: str,
        missing: Mapping[str, Sequence[str]] | None = None,
        failures: Mapping[str, str] | None = None,
    ) -> None:
        """Record how it ended, together with the result event, because readers stop at the end. Its transaction, which
        may hold secrets, is not kept unless it failed."""
        with self._database.writing() as connection:
            words = Message("ended", {"text": message or result})
            _add_event(connection, apply_id, NewEvent("result", "done" if result == "done" else "failed", words))
            connection.execute(
                "UPDATE applies SET ended_at = ?, result = ?, services = ?, message = ?, missing = ?, failures = ?,"
                " body = CASE WHEN ? = 'failed' THEN body ELSE '' END WHERE id = ?",
                (
                    now(),
                    result,
                    json.dumps(dict(services)),
                    message,
                    json.dumps(missing or {}),
                    json.dumps(dict(failures or {})),
                    result,
                    apply_id,
                ),
            )

    def record(self, apply_id: int) -> ApplyRecord:
        """The current state of an apply.

        Raises:
            UsageError: there is no such apply.
        """
        with self._database.reading() as connection:
            row = connection.execute(f"SELECT {_COLUMNS} FROM applies WHERE id = ?", (apply_id,)).fetchone()
        if row is None:
            raise UsageError(f"there is no apply {apply_id}", "see `gputui history`")
        return _record(row)

    def all(self, limit: int = 100) -> tuple[ApplyRecord, ...]:
        """The newest applies, newest first."""
        with self._database.reading() as connection:
            query = f"SELECT {_COLUMNS} FROM applies ORDER BY id DESC LIMIT ?"
            rows = connection.execute(query, (limit,)).fetchall()
        return tuple(_record(row) for row in rows)

    def open(self) -> tuple[ApplyRecord, ...]:
        """Applies that have not ended (one that is not `alive` was interrupted) or may have left something, newest
        first."""
        with self._database.reading() as connection:
            query = (
                f"SELECT {_COLUMNS} FROM applies WHERE result IN ('running', 'failed') AND body != '' ORDER BY id DESC"
            )
            rows = connection.execute(query).fetchall()
        return tuple(_record(row) for row in rows)

    def cancel(self, apply_id: int, operator: str) -> None:
        """Request that it be rolled back while it runs; its process polls for this."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE applies SET cancelled_by = ? WHERE id = ? AND result = 'running'", (operator, apply_id)
            )

    def cancelled_by(self, apply_id: int) -> str:
        """Who requested its rollback; empty if nobody did."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT cancelled_by FROM applies WHERE id = ?", (apply_id,)).fetchone()
        return str(row[0]) if row else ""

    def accept(self, apply_id: int, operator: str) -> None:
        """Record that somebody handled what it left."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE applies SET result = 'failed', ended_at = coalesce(ended_at, ?), body = '',"
                " message = message || ? WHERE id = ?",
                (now(), f" (settled by hand by {operator})", apply_id),
            )

    def add_event(self, apply_id: int, event: NewEvent) -> None:
        """Append one event."""
        with self._database.writing() as connection:
            _add_event(connection, apply_id, event)

    def events(self, apply_id: int, after_number: int = 0) -> tuple[ApplyEvent, ...]:
        """The events of an apply beyond `after_number`."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT number, at, kind, progress, text, service, operation, code, details FROM events"
                " WHERE apply_id = ? AND number > ? ORDER BY number",
                (apply_id, after_number),
            ).fetchall()
        return tuple(
            ApplyEvent(
                number=row[0],
                at=row[1],
                kind=row[2],
                progress=row[3],
                message=Message.recorded(str(row[7]), json_object(row[8]), str(row[4])),
                service=row[5],
                operation=str(row[6]),
            )
            for row in rows
        )

    def start_times(self, names: tuple[str, str], limit: int = 5) -> tuple[float, ...]:
        """How many seconds the service of these names took to come up in the last successful applies, newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT e.apply_id, e.at, e.text, e.progress FROM events e JOIN applies a ON a.id = e.apply_id"
                " WHERE a.result = 'done' AND e.service IN (?, ?) AND e.kind = 'operation' AND e.operation = ?"
                " ORDER BY e.apply_id DESC, e.number LIMIT ?",
                (*names, WATCH, 40 * limit),
            ).fetchall()
        began: dict[int, float | None] = {}
        took: dict[int, float] = {}
        for apply_id, timestamp, _, progress in rows:
            if progress == "started":
                began[apply_id] = moment(timestamp)
            elif (
                progress == "done"
                and (start := began.get(apply_id)) is not None
                and (end := moment(timestamp)) is not None
            ):
                took[apply_id] = end - start
        return tuple(took.values())[:limit]

    def note(self, apply_id: int, entry: JournalEntry, event: NewEvent | None = None) -> None:
        """Write a journal entry and its event; both are on disk when this returns."""
        with self._database.writing() as connection:
            if event is not None:
                _add_event(connection, apply_id, event)
            connection.execute(
                "INSERT OR REPLACE INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)",
                (apply_id, entry.task, entry.operation, entry.state, entry.old_id, entry.new_id, now()),
            )

    def journal(self, apply_id: int) -> tuple[JournalEntry, ...]:
        """The journal, ordered by operation."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT task, operation, state, old_id, new_id, rowid FROM journal"
                " WHERE apply_id = ? ORDER BY task, operation",
                (apply_id,),
            ).fetchall()
        return tuple(
            JournalEntry(task=row[0], operation=row[1], state=row[2], old_id=row[3], new_id=row[4], order=row[5])
            for row in rows
        )

    def kept_logs(self, apply_id: int) -> dict[str, bytes]:
        """The logs of containers that an apply removed, by service."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT service, log FROM kept_logs WHERE apply_id = ?", (apply_id,)).fetchall()
        return {str(row[0]): _decompressed(row[1]) for row in rows}

    def last_kept_log(self, service: ServiceKey) -> bytes:
        """The last log kept of this service; empty if there is none."""
        with self._database.reading() as connection:
            # Logs kept by an older gputui have no full name.
            query = (
                "SELECT log FROM kept_logs WHERE full_name = ? OR (full_name IS NULL AND service = ?)"
                " ORDER BY apply_id DESC LIMIT 1"
            )
            row = connection.execute(query, (service.full_name, service.short_name)).fetchone()
        return _decompressed(row[0]) if row else b""

    def keep_log(self, apply_id: int, step: Step, container_id: str, lines: Iterable[bytes]) -> None:
        """Keep the last lines of a container that is about to be removed."""
        log = zlib.compress(b"\n".join(lines))
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO kept_logs VALUES (?, ?, ?, ?, ?)",
                (apply_id, step.name, container_id, log, step.service.full_name),
            )


def _decompressed(log: object) -> bytes:
    """A kept log; empty if it is damaged."""
    try:
        return zlib.decompress(log) if isinstance(log, bytes) else b""
    except zlib.error:
        return b""


def _add_event(connection: sqlite3.Connection, apply_id: int, event: NewEvent) -> None:
    connection.execute(
        "INSERT INTO events SELECT ?, coalesce(max(number), 0) + 1, ?, ?, ?, ?, ?, ?, ?, ? FROM events"
        " WHERE apply_id = ?",
        (
            apply_id,
            now(),
            event.kind,
            event.progress,
            event.message.text,
            event.service,
            event.operation,
            event.message.kind,
            json.dumps(dict(event.message.values)),
            apply_id,
        ),
    )


def _record(row: tuple[object, ...]) -> ApplyRecord:
    (
        number,
        revision,
        operator,
        reason,
        started,
        ended,
        result,
        services,
        message,
        pid,
        pid_start,
        missing,
        failures,
        reason_kind,
        reason_values,
    ) = row
    if pid is None:
        # Until its process has claimed it, it must not count as interrupted.
        alive = result == "running" and seconds_since(str(started)) < STARTING_S
    else:
        process = whole_number(pid, least=1)
        alive = pid_start is not None and process is not None and _start_time(process) == pid_start
    results: dict[str, Result] = {
        "running": "running",
        "done": "done",
        "rolled_back": "rolled_back",
        "failed": "failed",
    }
    return ApplyRecord(
        id=whole_number(number) or 0,
        revision=whole_number(revision) or 0,
        operator=str(operator),
        reason=Message.recorded(str(reason_kind), json_object(reason_values), str(reason)),
        started_at=str(started),
        ended_at=str(ended) if ended else None,
        result=results.get(str(result), "failed"),
        services={str(name): str(outcome) for name, outcome in json_object(services).items()},
        message=str(message),
        alive=alive,
        missing={str(name): tuple(str(gpu) for gpu in sequence(gpus)) for name, gpus in json_object(missing).items()},
        failures={str(name): clean(str(text), 1000) for name, text in json_object(failures).items()},
    )


def json_object(text: object) -> Mapping[str, object]:
    """The JSON object in this text; empty if it is not one."""
    try:
        return mapping(json.loads(str(text)))
    except (ValueError, RecursionError):
        return {}


def _start_time(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if len(stat) < 20 or stat[0] == "Z" else whole_number(stat[19])
