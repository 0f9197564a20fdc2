"""The Compose project, read again when one of its files changes."""

import threading
from collections.abc import Sequence
from pathlib import Path

from gputui.domain.compose import ComposeProject
from gputui.domain.errors import GputuiError
from gputui.project.file_mark import file_mark


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
        """Read the files again if they changed. Where `docker compose` is installed it is asked how it reads them, and
        what it says holds."""
        with self._looking:
            marks = self._marks()
            if marks != self._seen:
                self._seen = marks
                self._agreed = False
                try:
                    self.project = self._read()
                    self.note = None
                except GputuiError as error:
                    self.note = error.what + (" (what was read before stays)" if self.project else "")
                    return
            if not self._agreed and self.project is not None:
                self._agreed = True
                self._agree(self.project)

    def _agree(self, ours: ComposeProject) -> None:
        from gputui.project.compose_agreement import disagreements  # noqa: PLC0415
        from gputui.project.compose_command import canonical  # noqa: PLC0415
        from gputui.project.compose_file import read_canonical  # noqa: PLC0415

        found = canonical([str(path) for path in self._paths], self._name)
        if found is None:
            return
        if isinstance(found, str):
            self.note = f"docker compose refuses these files, which gputui reads: {found[:200]}"
            return
        try:
            theirs = read_canonical(found, self._paths, self._name)
        except GputuiError as error:
            self.note = f"what docker compose makes of these files cannot be read: {error.what}"
            return
        different = disagreements(ours, theirs)
        if different:
            self.project = theirs
            shown = ", ".join(different[:3]) + (f" and {len(different) - 3} more" if len(different) > 3 else "")
            self.note = f"docker compose reads these files differently from gputui ({shown}); its reading is used"
