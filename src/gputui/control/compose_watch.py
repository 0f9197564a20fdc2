"""The Compose project, read again when one of its files changes."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gputui.domain.compose import ComposeProject
from gputui.domain.errors import GputuiError, Refusal
from gputui.domain.text import clean
from gputui.project.file_mark import file_mark

AGAIN_S = 5.0
"""After so many seconds files that could not be read are tried again: what was missing may stand in another file."""


class ComposeWatch:
    """The project that the given files describe, or none; it is read at the first look, unless somebody asks for it
    before. A change that cannot be read leaves the project as it was."""

    def __init__(self, paths: Sequence[Path], project_name: str | None) -> None:
        self._paths = tuple(paths)
        self._name = project_name
        self.project: ComposeProject | None = None
        self.note: str | None = None
        self._seen: tuple[tuple[int, int] | None, ...] = ()
        self._agreed = False
        self._failed_at: float | None = None
        self._looking = threading.Lock()

    @property
    def is_missing(self) -> bool:
        """One of the files is not there."""
        return None in self._marks()

    def read(self) -> None:
        """Read the files now.

        Raises:
            UsageError: they cannot be read; it says where.
        """
        self._seen = self._marks()
        if self._paths:
            self.project = self._read()

    def _read(self) -> ComposeProject:
        # Slow to import, and not needed where there is no file.
        from gputui.project.compose_file import read_project  # noqa: PLC0415

        return read_project(self._paths, self._name)

    def _marks(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(file_mark(path) for path in self._paths)

    def forget(self) -> None:
        """Read the files at the next look, changed or not."""
        self._seen = ()

    def look(self) -> None:
        """Read the files again if they changed, or could not be read a while ago. Where `docker compose` is installed
        it is asked how it reads them, and what it says holds."""
        with self._looking:
            marks = self._marks()
            if marks != self._seen or (self._failed_at is not None and time.monotonic() - self._failed_at > AGAIN_S):
                self._seen = marks
                self._try_to_read()
            ours = None if self._agreed or self._failed_at is not None else self.project
            self._agreed = self._agreed or ours is not None
        if ours is not None:
            self._agree(ours)  # it may take seconds, for which no other thread is to wait

    def _try_to_read(self) -> None:
        try:
            self.project = self._read()
        except Exception as error:  # whatever is in a file, the GPUs are to be seen
            what = error.line if isinstance(error, GputuiError) else clean(repr(error), 200)
            self.note = what + (" (what was read before stays)" if self.project else "")
            self._failed_at = time.monotonic()
        else:
            self.note = None
            self._failed_at = None
            self._agreed = False

    def check_read(self) -> None:
        """Nothing may be written or carried out as if there were no Compose file, where there is one.

        Raises:
            Refusal: it could not be read yet.
        """
        if self._paths and self.project is None:
            raise Refusal(self.note or "the Compose file is not read yet", "nothing is saved or applied until it is")

    def _agree(self, ours: ComposeProject) -> None:
        from gputui.project.compose_command import canonical  # noqa: PLC0415

        found = canonical([str(path) for path in self._paths], self._name)
        if found is None:
            return
        holds, note = self._judged(ours, found)
        with self._looking:
            if note is not None and self.project is ours:  # else they changed meanwhile
                self.project, self.note = holds, note

    def _judged(self, ours: ComposeProject, found: dict[str, Any] | str) -> tuple[ComposeProject, str | None]:
        """The reading that holds, by what Compose says, and what is to be said of it."""
        from gputui.project.compose_agreement import disagreements  # noqa: PLC0415
        from gputui.project.compose_file import read_canonical  # noqa: PLC0415

        if isinstance(found, str):
            return ours, f"docker compose refuses these files, which gputui reads: {found[:200]}"
        try:
            theirs = read_canonical(found, self._paths, self._name)
        except GputuiError as error:
            return ours, f"what docker compose makes of these files cannot be read: {error.what}"
        different = disagreements(ours, theirs)
        if not different:
            return ours, None
        shown = ", ".join(different[:3]) + (f" and {len(different) - 3} more" if len(different) > 3 else "")
        return theirs, f"docker compose reads these files differently from gputui ({shown}); its reading is used"
