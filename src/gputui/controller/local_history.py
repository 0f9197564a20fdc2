"""The history of this server: revisions, applies, and the state as a file."""

from dataclasses import replace
from pathlib import Path

from gputui.controller.local_draft import LocalDraft
from gputui.controller.saved_state import SavedState
from gputui.controller.settings import Settings
from gputui.controller.watch.sampler import Sampler
from gputui.domain.assignment import Assignments
from gputui.domain.errors import UsageError
from gputui.domain.event import ApplyEvent, ApplyRecord
from gputui.domain.message import message
from gputui.domain.retention import Removed, Retention
from gputui.domain.text import clean


class LocalHistory:
    """Implements `History` over the saved state."""

    def __init__(self, sampler: Sampler, draft: LocalDraft, saved: SavedState, settings: Settings) -> None:
        self._sampler = sampler
        self._draft = draft
        self._saved = saved
        self._settings = settings

    def applies(self, limit: int = 100) -> tuple[ApplyRecord, ...]:
        """The newest applies, newest first."""
        return self._saved.opened().applies.all(limit)

    def record(self, apply_id: int) -> ApplyRecord:
        """The current state of an apply."""
        return self._saved.opened().applies.record(apply_id)

    def events(self, apply_id: int, after_number: int = 0) -> tuple[ApplyEvent, ...]:
        """The events of an apply beyond `after_number`."""
        return self._saved.opened().applies.events(apply_id, after_number)

    def revisions(self, limit: int = 100) -> tuple[Assignments, ...]:
        """The newest revisions, newest first."""
        return self._saved.opened().revisions.all(limit)

    def revision(self, number: int) -> Assignments:
        """One revision."""
        return self._saved.opened().revisions.at(number)

    def export_state(self) -> str:
        """The whole state as one text."""
        from gputui.state.state_file import export_state  # noqa: PLC0415 - only this needs it

        return export_state(self._saved.opened().database, self._sampler.host)

    def remove_old(self, retention: Retention, *, dry_run: bool = False) -> Removed:
        """Remove old applies, revisions and logs, and reclaim their space."""
        from gputui.state.cleanup import compact, remove_old  # noqa: PLC0415 - only this needs it

        if not dry_run:
            self._settings.check_writable()
        database = self._saved.opened().database
        removed = remove_old(database, retention, dry_run=dry_run)
        return removed if dry_run else replace(removed, size=(removed.size[0], compact(database)))

    def import_file(self, path: str, *, adopt: bool) -> tuple[str, ...]:
        """Restore an exported state, or take over the assignments of a file into the draft; lines on the outcome."""
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
        self._sampler.compose_watch.check_read()
        store, host = self._saved.opened(), self._sampler.host
        self._draft.follow(store.revisions.latest())
        parsed = read_file(Path(path))
        if isinstance(parsed, StateFile):
            if is_empty(store.database):
                restore(store.database, parsed, host)
                self._draft.follow(store.revisions.latest())
                number = len(parsed.tables.get("revisions", []))
                return (f"restored {number} revisions of {clean(parsed.host, 60)}", *masked(parsed))
            assignments, skipped = latest(parsed, host), masked(parsed)
        else:
            keys = [service.key for service in self._draft.services()]
            read = read_assignments(
                parsed, keys, self._draft.value.current, self._sampler.gpus, self._settings.operator
            )
            assignments, skipped = read.assignments, read.skipped
        return (*skipped, *self._draft.take_all(assignments, adopt=adopt))

    def roll_back(self, revision: int | None) -> Assignments:
        """Save the assignments of an earlier revision again."""
        revisions = self._saved.opened().revisions
        newest = revisions.latest()
        self._draft.follow(newest)
        if revision is None:
            if newest.revision < 2:
                raise UsageError("there is no revision to go back to", "see `gputui history`")
            revision = newest.revision - 1
        target = revisions.at(revision)
        assignments = replace(newest, items=())
        for item in newest.items:
            previous = target.of(item.key)
            # Services adopted since then stay adopted, so that the apply moves them back to where they were found.
            assignments = assignments.having(replace(previous, adopted=item.adopted) if previous else item)
        return self._draft.save_as(newest.revision, assignments, message("rolled-back", revision=revision))
