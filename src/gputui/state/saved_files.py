"""Files that are written together with the state database, so that both are always of the same revision.

The database holds the intended content of each file. Before files are replaced, a mark is set for each; whoever finds a
mark while nobody is saving rewrites the file as the database has it, whether that is the old or the new revision.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from gputui.domain.errors import GputuiError
from gputui.state.database import Database
from gputui.state.file_io import PREFIX, put_in_place, written_beside


class SavedFiles:
    """The files written with the latest revision."""

    def __init__(self, database: Database, directory: Path) -> None:
        self._database = database
        self._lock = directory / "save.lock"

    @contextmanager
    def one_saver(self) -> Iterator[None]:
        """Hold the lock that excludes all other saves. What an interrupted save left is repaired first.

        Raises:
            GputuiError: the lock cannot be acquired.
        """
        try:
            handle = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o660)
        except OSError as error:
            raise GputuiError(f"{self._lock} cannot be opened: {error.strerror}", "check its permissions") from error
        try:
            with suppress(PermissionError):
                os.fchmod(handle, 0o660)
            fcntl.flock(handle, fcntl.LOCK_EX)
            self._repair()
            yield
        finally:
            os.close(handle)

    def repair(self) -> None:
        """Finish or roll back an interrupted save; does nothing without a mark."""
        with self._database.reading() as connection:
            marked = connection.execute("SELECT 1 FROM saving").fetchone()
        if marked:
            with self.one_saver():
                pass

    def _repair(self) -> None:
        with self._database.reading() as connection:
            previous_texts = {Path(row[0]): row[1] for row in connection.execute("SELECT path, before FROM saving")}
        # The commit removes the mark: while it exists, the database is at the previous revision.
        for path, previous in previous_texts.items():
            try:
                for temporary in path.parent.glob(f"{PREFIX}{path.name}.*"):
                    temporary.unlink(missing_ok=True)
                if previous is None:
                    path.unlink(missing_ok=True)
                elif _read(path) != previous:
                    put_in_place({path: written_beside(path, previous)})
            except OSError:
                continue  # the mark stays for somebody with write access
            with self._database.writing() as connection:
                connection.execute("DELETE FROM saving WHERE path = ?", (str(path),))

    @contextmanager
    def together(self, texts: Mapping[Path, str]) -> Iterator[sqlite3.Connection]:
        """A database transaction in which these files are written. Call it within `one_saver`.

        Raises:
            GputuiError: a file cannot be written; files and database are unchanged.
        """
        with self._database.writing() as connection:
            marks = [(str(path), _read(path)) for path in texts]
            # Keep the marks of an interrupted save that could not be repaired.
            connection.executemany("INSERT OR IGNORE INTO saving VALUES (?, ?)", marks)
        temporaries: dict[Path, Path] = {}
        try:
            for path, text in texts.items():
                temporaries[path] = written_beside(path, text)
            with self._database.writing() as connection:
                yield connection
                connection.executemany(
                    "INSERT OR REPLACE INTO files VALUES (?, ?)", [(str(path), text) for path, text in texts.items()]
                )
                put_in_place(temporaries)
                connection.executemany("DELETE FROM saving WHERE path = ?", [(str(path),) for path in texts])
        except OSError as error:
            self._discard(temporaries)
            name = error.filename or next(iter(texts), "")
            raise GputuiError(
                f"the files beside the Compose file cannot be written: {error.strerror} ({name})",
                "nothing was saved; check the folder and its disk",
            ) from error
        except GputuiError:
            self._discard(temporaries)
            raise

    def _discard(self, temporaries: Mapping[Path, Path]) -> None:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)
        self._repair()

    def saved(self) -> dict[Path, str]:
        """The saved content of each file."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT path, text FROM files ORDER BY path").fetchall()
        return {Path(row[0]): str(row[1]) for row in rows if isinstance(row[0], str)}


def edited(saved: Mapping[Path, str]) -> tuple[Path, ...]:
    """The existing files whose content differs from what was saved."""
    contents = ((path, _read(path), text) for path, text in saved.items())
    return tuple(path for path, current, text in contents if current not in (None, text))


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace")
    except (OSError, ValueError):
        return None
