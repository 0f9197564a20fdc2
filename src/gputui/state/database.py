"""The state database: one SQLite file, the source of truth for assignments and applies."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from gputui.domain.errors import GputuiError, UsageError
from gputui.domain.text import clean

_MIGRATIONS = (
    """
    CREATE TABLE revisions (
        revision INTEGER PRIMARY KEY, saved_at TEXT NOT NULL, author TEXT NOT NULL, reason TEXT NOT NULL,
        strategy TEXT NOT NULL, body TEXT NOT NULL
    );
    CREATE TABLE applies (
        id INTEGER PRIMARY KEY AUTOINCREMENT, revision INTEGER NOT NULL, operator TEXT NOT NULL, reason TEXT NOT NULL,
        started_at TEXT NOT NULL, ended_at TEXT, result TEXT NOT NULL, services TEXT NOT NULL, message TEXT NOT NULL,
        pid INTEGER, pid_start INTEGER, body TEXT NOT NULL
    );
    CREATE TABLE events (
        apply_id INTEGER NOT NULL, number INTEGER NOT NULL, at TEXT NOT NULL, kind TEXT NOT NULL,
        progress TEXT NOT NULL, text TEXT NOT NULL, service TEXT, PRIMARY KEY (apply_id, number)
    );
    CREATE TABLE journal (
        apply_id INTEGER NOT NULL, task INTEGER NOT NULL, operation INTEGER NOT NULL, state TEXT NOT NULL,
        old_id TEXT, new_id TEXT, at TEXT NOT NULL, PRIMARY KEY (apply_id, task, operation)
    );
    CREATE TABLE kept_logs (
        apply_id INTEGER NOT NULL, service TEXT NOT NULL, container_id TEXT NOT NULL, log BLOB NOT NULL,
        PRIMARY KEY (apply_id, service)
    );
    """,
    """
    CREATE TABLE observed_peaks (
        image TEXT NOT NULL, arguments TEXT NOT NULL, gpus INTEGER NOT NULL, gpu_total_mib INTEGER NOT NULL,
        peak_mib INTEGER NOT NULL, at TEXT NOT NULL, PRIMARY KEY (image, arguments, gpus, gpu_total_mib)
    );
    """,
    """
    CREATE TABLE files (path TEXT PRIMARY KEY, text TEXT NOT NULL);
    CREATE TABLE saving (path TEXT PRIMARY KEY, before TEXT);
    """,
    "ALTER TABLE applies ADD COLUMN missing TEXT NOT NULL DEFAULT '{}';",
    "ALTER TABLE applies ADD COLUMN cancelled_by TEXT NOT NULL DEFAULT '';",
    "ALTER TABLE kept_logs ADD COLUMN full_name TEXT;",
    "ALTER TABLE applies ADD COLUMN failures TEXT NOT NULL DEFAULT '{}';",
    """
    CREATE TABLE measured (
        image TEXT NOT NULL, arguments TEXT NOT NULL, gpus INTEGER NOT NULL, gpu_total_mib INTEGER NOT NULL,
        weights_mib INTEGER, cache_mib INTEGER, activation_mib INTEGER, graphs_mib INTEGER, cache_tokens INTEGER,
        at TEXT NOT NULL, PRIMARY KEY (image, arguments, gpus, gpu_total_mib)
    );
    """,
    # Adds kinds to texts. gputui 0.1 wrote the operation before the colon of its text.
    """
    ALTER TABLE events ADD COLUMN operation TEXT NOT NULL DEFAULT '';
    ALTER TABLE events ADD COLUMN code TEXT NOT NULL DEFAULT '';
    ALTER TABLE events ADD COLUMN details TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE applies ADD COLUMN reason_kind TEXT NOT NULL DEFAULT '';
    ALTER TABLE applies ADD COLUMN reason_values TEXT NOT NULL DEFAULT '{}';
    UPDATE events SET operation = substr(text, 1, instr(text || ': ', ': ') - 1) WHERE kind IN ('operation', 'undo');
    UPDATE events SET operation = 'watch' WHERE operation = 'watch it come up';
    """,
)
"""Each migrates the schema by one version; the version is SQLite's user_version."""

BUSY_MS = 10_000
TURN_S = 1.0
"""The most seconds that a thread waits for other threads of its process."""


class Database:
    """Opens the file for each use, so that any thread may use it and an idle process holds no lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Threads that wait for SQLite's own lock, which is the decisive one, poll it at growing intervals.
        self._writer = threading.RLock()
        with suppress(OSError):
            if not path.exists():
                path.touch(mode=0o660)
                path.chmod(0o660)
        with self._errors(), closing(self._connect()) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            if self._version(connection) > len(_MIGRATIONS):
                raise UsageError(f"{path} was written by a newer gputui", "update gputui")
            while self._version(connection) < len(_MIGRATIONS):
                self._migrate(connection)
        # An open connection keeps the shared memory alive, so that the state can be read even on a full disk.
        with self._errors():
            self._keeper_lock = threading.Lock()
            self._keeper = self._connect()
            self._keeper.execute("SELECT count(*) FROM sqlite_master").fetchone()

    @staticmethod
    def _version(connection: sqlite3.Connection) -> int:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])

    def _migrate(self, connection: sqlite3.Connection) -> None:
        """Migrate by one version in a transaction; another process may be doing the same."""
        connection.execute("BEGIN IMMEDIATE")
        version = self._version(connection)
        if version < len(_MIGRATIONS):
            for statement in _MIGRATIONS[version].split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.execute("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise GputuiError(
                f"the state in {self.path} cannot be used: {clean(str(error), 120)}", "check disk space and permissions"
            ) from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for reading."""
        with self._errors(), closing(self._connect()) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction that is committed at the end, or rolled back by an exception."""
        with self._turn(), self._errors(), closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Serialise the threads of this process, unless one of them is held up."""
        is_acquired = self._writer.acquire(timeout=TURN_S)
        try:
            yield
        finally:
            if is_acquired:
                self._writer.release()

    def compact(self) -> None:
        """Return the space of deleted rows to the file system."""
        with self._turn(), self._errors(), closing(self._connect()) as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def size(self) -> int:
        """Bytes on disk."""
        files = (self.path.with_name(self.path.name + suffix) for suffix in ("", "-wal"))
        return sum(path.stat().st_size for path in files if path.exists())

    def version(self) -> int:
        """A number that changes with every change by any process, cheap to ask for (PRAGMA data_version, as seen by a
        connection that never writes)."""
        with suppress(sqlite3.Error), self._keeper_lock:
            return int(self._keeper.execute("PRAGMA data_version").fetchone()[0])
        return 0
