"""The saved state: opening it, following what others save, saving, and going back."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gputui.compose.generated import ASSIGNMENTS_NAME
from gputui.controller.drafting import NOT_SAVED, Drafting
from gputui.controller.settings import Settings
from gputui.controller.watch.sampler import Sampler
from gputui.domain.assignment import Assignments
from gputui.domain.errors import Conflict, Unreachable, UsageError
from gputui.domain.event import ApplyRecord
from gputui.domain.gpu import Gpu
from gputui.domain.observation import Measured, PeakKey
from gputui.domain.snapshot import EngineStatus
from gputui.domain.text import clean
from gputui.planning.changes.draft_edit import conflict_text
from gputui.state.file_io import file_mark
from gputui.state.saved_files import edited

if TYPE_CHECKING:
    from gputui.controller.store import Store


RECENT = 30
"""Applies that are looked at for what failed in them."""


class Saving:
    """Holds the store once the engine, to which it belongs, is known."""

    def __init__(self, sampler: Sampler, drafting: Drafting, settings: Settings) -> None:
        self._sampler = sampler
        self._drafting = drafting
        self._settings = settings
        self._store: Store | None = None
        self._version: int | None = None
        self._not_shared: str | None = None
        self._files: Mapping[Path, str] = {}
        self._marks: Mapping[Path, tuple[int, int] | None] = {}
        self._by_hand: tuple[str, ...] = ()
        self.apply: ApplyRecord | None = None
        self.failures: Mapping[str, str] = {}
        """Why services failed in the last apply that was about them."""

    def connected(self, status: EngineStatus) -> None:
        """Open the state of this engine. A save that was cut off is finished or taken back."""
        from gputui.controller.store import Store  # noqa: PLC0415 - the first picture must not wait for it

        directory = self._settings.state_dir(status)
        store = Store(directory.path)
        if not self._settings.readonly:
            store.files.put_right()
        self._store = store
        self._not_shared = directory.not_shared
        self._drafting.follow(store.revisions.latest())

    def opened(self) -> "Store":
        """The store.

        Raises:
            Unreachable: the engine, to which it belongs, is not known.
        """
        if self._store is None:
            status = self._sampler.engine
            raise Unreachable(status.reason or "the engine is not connected", status.fix or "")
        return self._store

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of the state."""
        return (*((self._not_shared,) if self._not_shared else ()), *self._by_hand)

    def look(self) -> None:
        """Take in what other operators saved and what an apply did."""
        store = self._store
        if store is None:
            return
        version = store.version()
        if version != self._version:
            self._files = store.files.saved()
        marks = {path: file_mark(path) for path in self._files}
        if version != self._version or marks != self._marks:
            self._marks = marks
            self._by_hand = tuple(_edited_by_hand(path.name) for path in edited(self._files))
        running = self.apply is not None and self.apply.result == "running"
        if version == self._version and not running:
            return
        latest = store.revisions.latest()
        recent = store.applies.all(limit=RECENT)
        self.apply = next(iter(recent), None)
        self.failures = _failures(recent)
        self._sampler.remember(store.peaks.all(), store.peaks.measured())
        self._version = version
        self._drafting.follow(latest)

    def remember(self, peaks: dict[PeakKey, int]) -> None:
        """Write down the peaks that were seen."""
        if self._store is not None and not self._settings.readonly:
            self._store.peaks.remember(peaks)

    def remember_measured(self, found: Mapping[PeakKey, Measured]) -> None:
        """Write down what services said that they took."""
        if self._store is not None and not self._settings.readonly:
            self._store.peaks.remember_measured(found)

    def save_draft(self, reason: str) -> Assignments:
        """Save the draft as the next revision.

        Raises:
            Conflict: somebody saved another assignment of a service that is edited here.
        """
        store = self.opened()
        self._drafting.follow(store.revisions.latest())
        draft = self._drafting.draft
        if draft.conflicts:
            raise Conflict(conflict_text(draft, self._gpus()), "keep yours, or take theirs; then save again")
        return self._save(draft.saved.revision, draft.current, reason) if draft.changed else draft.saved

    def _save(self, base: int, assignments: Assignments, reason: str) -> Assignments:
        """Save these assignments, which were made of the revision `base`, as the next one."""
        self._settings.check_writable()
        self._sampler.check_files()
        saved = self.opened().save(
            base,
            assignments,
            author=self._settings.operator,
            reason=reason,
            services=self._sampler.services(assignments),
            as_found=self._sampler.services(NOT_SAVED),
            gpus=self._gpus(),
            # Simulated GPUs have no business in the files of a real project.
            project=None if self._settings.simulated else self._sampler.project,
            access=self._sampler.access,
        )
        self._drafting.saved(saved, assignments)
        return saved

    def _gpus(self) -> Sequence[Gpu]:
        return self._sampler.gpus

    def take_in(self, path: Path, *, adopt: bool) -> tuple[str, ...]:
        """Bring an exported state back, or put what a file says into the draft; lines on what came of it."""
        from gputui.state.state_file import (  # noqa: PLC0415 - only this needs it
            StateFile,
            is_empty,
            latest,
            masked,
            read_assignments,
            read_file,
            restore,
        )

        self._settings.check_writable()
        self._sampler.check_files()
        store, host = self.opened(), self._sampler.host
        self._drafting.follow(store.revisions.latest())
        found = read_file(path)
        if isinstance(found, StateFile):
            if is_empty(store.database):
                restore(store.database, found, host)
                self._drafting.follow(store.revisions.latest())
                number = len(found.tables.get("revisions", []))
                return (f"restored {number} revisions of {clean(found.host, 60)}", *masked(found))
            wanted, left = latest(found, host), masked(found)
        else:
            keys = [service.key for service in self._drafting.services()]
            read = read_assignments(found, keys, self._drafting.draft.current, self._gpus(), self._settings.operator)
            wanted, left = read.assignments, read.left
        return (*left, *self._drafting.take_in(wanted, adopt=adopt))

    def roll_back(self, revision: int | None) -> Assignments:
        """Save the assignments of an earlier revision again."""
        revisions = self.opened().revisions
        newest = revisions.latest()
        self._drafting.follow(newest)
        if revision is None:
            if newest.revision < 2:
                raise UsageError("there is no revision to go back to", "see `gputui history`")
            revision = newest.revision - 1
        target = revisions.at(revision)
        assignments = replace(newest, items=())
        for item in newest.items:
            before = target.of(item.key)
            # What was adopted since stays so: it is to be carried back to where it was found.
            assignments = assignments.having(replace(before, adopted=item.adopted) if before else item)
        return self._save(newest.revision, assignments, f"rollback to revision {revision}")


def _failures(recent: Sequence[ApplyRecord]) -> dict[str, str]:
    found: dict[str, str] = {}
    seen: set[str] = set()
    for record in recent:
        for name in record.services:
            if name not in seen and record.result != "running":
                seen.add(name)
                if name in record.failures:
                    found[name] = record.failures[name]
    return found


def _edited_by_hand(name: str) -> str:
    how = f"`gputui import {name}` takes it in" if name == ASSIGNMENTS_NAME else "gputui does not read it"
    return f"{name} was edited by hand: {how}, the next save replaces it (and keeps {name}.bak)"
