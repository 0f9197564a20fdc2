"""The saved state: opening it, following what others save, and saving the next revision."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gputui.compose.generated import ASSIGNMENTS_NAME
from gputui.controller.settings import Settings
from gputui.controller.watch.sampler import Sampler
from gputui.domain.assignment import Assignments
from gputui.domain.errors import Unreachable
from gputui.domain.event import ApplyRecord
from gputui.domain.message import Message, message
from gputui.domain.observation import Measured, PeakKey
from gputui.domain.snapshot import EngineStatus
from gputui.state.file_io import file_mark
from gputui.state.saved_files import edited

if TYPE_CHECKING:
    from gputui.controller.store import Store


NOTHING_SAVED = Assignments()
RECENT = 30
"""How many recent applies are searched for failures."""


class SavedState:
    """Holds the store, once the engine that it belongs to is known."""

    def __init__(self, sampler: Sampler, settings: Settings) -> None:
        self._sampler = sampler
        self._settings = settings
        self._store: Store | None = None
        self._follow: Callable[[Assignments], None] = lambda _: None
        self._version: int | None = None
        self._not_shared: str | None = None
        self._files: Mapping[Path, str] = {}
        self._marks: Mapping[Path, tuple[int, int] | None] = {}
        self._edited_files: tuple[Message, ...] = ()
        self.apply: ApplyRecord | None = None
        """The newest apply."""
        self.failures: Mapping[str, str] = {}
        """Why services failed, each in the last apply that included it."""

    def on_revision(self, listener: Callable[[Assignments], None]) -> None:
        """Call the listener with the newest revision whenever it may have changed."""
        self._follow = listener

    def connected(self, status: EngineStatus) -> None:
        """Open the state of this engine. An interrupted save is finished or rolled back."""
        from gputui.controller.store import Store  # noqa: PLC0415 - the first frame must not wait for it

        directory = self._settings.state_dir(status)
        store = Store(directory.path)
        if not self._settings.readonly:
            store.files.repair()
        self._store = store
        self._not_shared = directory.not_shared
        self._follow(store.revisions.latest())

    def opened(self) -> "Store":
        """The store.

        Raises:
            Unreachable: the engine that it belongs to is not known.
        """
        if self._store is None:
            status = self._sampler.engine_watch.status
            raise Unreachable(status.reason or "the engine is not connected", status.fix or "")
        return self._store

    @property
    def notes(self) -> tuple[Message, ...]:
        """Notes about the state."""
        not_shared = (message("state-not-shared", reason=self._not_shared),) if self._not_shared else ()
        return (*not_shared, *self._edited_files)

    def look(self) -> None:
        """Load what other operators saved and what an apply did."""
        store = self._store
        if store is None:
            return
        version = store.version()
        if version != self._version:
            self._files = store.files.saved()
        marks = {path: file_mark(path) for path in self._files}
        if version != self._version or marks != self._marks:
            self._marks = marks
            self._edited_files = tuple(_edited_by_hand(path.name) for path in edited(self._files))
        running = self.apply is not None and self.apply.result == "running"
        if version == self._version and not running:
            return
        latest = store.revisions.latest()
        recent = store.applies.all(limit=RECENT)
        self.apply = next(iter(recent), None)
        self.failures = _failures(recent)
        self._sampler.remember(store.peaks.all(), store.peaks.measured())
        self._version = version
        self._follow(latest)

    def remember(self, peaks: dict[PeakKey, int]) -> None:
        """Record the observed peaks."""
        if self._store is not None and not self._settings.readonly:
            self._store.peaks.remember(peaks)

    def remember_measured(self, measured: Mapping[PeakKey, Measured]) -> None:
        """Record the memory use that services reported."""
        if self._store is not None and not self._settings.readonly:
            self._store.peaks.remember_measured(measured)

    def save(self, base: int, assignments: Assignments, reason: Message) -> Assignments:
        """Save these assignments, which are based on the revision `base`, as the next one, with the files.

        Raises:
            Conflict: somebody saved a newer revision.
        """
        self._settings.check_writable()
        self._sampler.compose_watch.check_read()
        return self.opened().save(
            base,
            assignments,
            author=self._settings.operator,
            reason=reason,
            services=self._sampler.services(assignments),
            as_found=self._sampler.services(NOTHING_SAVED),
            gpus=self._sampler.gpus,
            # Simulated GPUs must not get into the files of a real project.
            project=None if self._settings.simulated else self._sampler.compose_watch.project,
            access=self._sampler.access,
        )


def _failures(recent: Sequence[ApplyRecord]) -> dict[str, str]:
    failures: dict[str, str] = {}
    names: set[str] = set()
    for record in recent:
        for name in record.services:
            if name not in names and record.result != "running":
                names.add(name)
                if name in record.failures:
                    failures[name] = record.failures[name]
    return failures


def _edited_by_hand(name: str) -> Message:
    return message("edited-by-hand" if name == ASSIGNMENTS_NAME else "file-edited-by-hand", file=name)
