"""The Compose project, read again when one of its files changes."""

from collections.abc import Sequence
from pathlib import Path

from gputui.domain.compose import ComposeProject
from gputui.domain.errors import GputuiError
from gputui.project.compose_file import read_project


class ComposeWatch:
    """The project that the given files describe, or none. A change that cannot be read leaves the one before."""

    def __init__(self, paths: Sequence[Path], project_name: str | None) -> None:
        self._paths = tuple(paths)
        self._name = project_name
        self.project: ComposeProject | None = read_project(self._paths, project_name) if self._paths else None
        self.note: str | None = None
        self._seen = self._marks()

    def _marks(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(_mark(path) for path in self._paths)

    def forget(self) -> None:
        """Read the files at the next look, changed or not."""
        self._seen = ()

    def look(self) -> None:
        """Read the files again if they changed."""
        marks = self._marks()
        if marks == self._seen:
            return
        self._seen = marks
        try:
            self.project = read_project(self._paths, self._name)
            self.note = None
        except GputuiError as error:
            self.note = f"{error.what} (what was read before stays)"


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size
