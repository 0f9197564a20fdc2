"""The Compose project, read again when one of its files changes."""

import logging
import threading
import time

from gputui.compose.files import ComposeFiles
from gputui.domain.compose import ComposeProject
from gputui.domain.errors import GputuiError, Refusal
from gputui.domain.unexpected import place_of
from gputui.state.file_io import file_mark

AGAIN_S = 5.0
"""Seconds after which unreadable files are tried again: what was missing may be defined in another file."""
TURN_S = 1.0
"""Seconds that a thread waits for another one that is reading the files; `docker compose` may take longer."""

_log = logging.getLogger(__name__)


class ComposeWatch:
    """The project that the given files describe, or None. It is read at the first look, unless requested earlier. If a
    change cannot be read, the project stays as it was."""

    def __init__(self, files: ComposeFiles, project_name: str | None) -> None:
        self._files = files
        self._name = project_name
        self.project: ComposeProject | None = None
        self.note: str | None = None
        self._seen: tuple[tuple[int, int] | None, ...] = ()
        self._failed_at: float | None = None
        self._looking = threading.Lock()

    @property
    def is_missing(self) -> bool:
        """Whether one of the files does not exist."""
        return None in self._marks()

    def read(self) -> None:
        """Read the files now.

        Raises:
            UsageError: they cannot be read; the message says where.
        """
        self._seen = self._marks()
        if self._files.paths:
            self.project = self._read()

    def _read(self) -> ComposeProject:
        # Slow to import, and not needed without files.
        from gputui.compose.reading import read_project  # noqa: PLC0415

        return read_project(self._files, self._name)

    def _marks(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(file_mark(path) for path in self._files.paths)

    def forget(self) -> None:
        """Read the files at the next look, changed or not."""
        self._seen = ()

    def look(self) -> None:
        """Read the files again if they changed, or could not be read a while ago."""
        if not self._looking.acquire(timeout=TURN_S):
            return
        try:
            marks = self._marks()
            if marks != self._seen or (self._failed_at is not None and time.monotonic() - self._failed_at > AGAIN_S):
                self._seen = marks
                self._try_to_read()
        finally:
            self._looking.release()

    def _try_to_read(self) -> None:
        try:
            self.project = self._read()
        except Exception as error:  # whatever is in a file, the GPUs must be shown
            if not isinstance(error, GputuiError):
                _log.error("the Compose files cannot be read", exc_info=error)
            problem = error.line if isinstance(error, GputuiError) else f"the Compose files: {place_of(error)}"
            self.note = problem + (" (what was read before stays)" if self.project else "")
            self._failed_at = time.monotonic()
        else:
            self.note = self._failed_at = None

    def check_read(self) -> None:
        """Check that the Compose files, if any, were read: otherwise nothing may be written or carried out.

        Raises:
            Refusal: they could not be read yet.
        """
        if self._files.paths and self.project is None:
            raise Refusal(self.note or "the Compose file is not read yet", "nothing is saved or applied until it is")
