"""The history pane: revisions and applies."""

from collections.abc import Callable, Mapping, Sequence

from textual import on, work
from textual.message import Message
from textual.widgets import DataTable

from gputui.app.background import in_thread
from gputui.app.config.keymap import HISTORY
from gputui.app.dialogs.scrolled_text import ReadingScreen
from gputui.app.render.columns import Column, Row, cell
from gputui.app.render.values import clock_text, date_text
from gputui.app.widgets.table_pane import TablePane
from gputui.controller.protocols import History, Logs
from gputui.domain.assignment import Assignments
from gputui.domain.assignment_difference import assignment_text, revision_difference
from gputui.domain.errors import GputuiError
from gputui.domain.event import ApplyEvent, ApplyRecord
from gputui.domain.gpu import labels_by_uuid
from gputui.domain.service import distinct_names
from gputui.domain.snapshot import Snapshot
from gputui.domain.text import whole_number

COLUMNS = (
    Column(title=" ", width=1),
    Column(title="WHAT", width=12),
    Column(title="WHEN", width=19, rank=1),
    Column(title="BY", width=10, rank=2),
    Column(title="RESULT", width=11),
    Column(title="WHY", width=30, grows=True),
)


PAGE = 100
"""Revisions and applies per page; the next page is loaded when the last row is selected."""


def without_started(events: Sequence[ApplyEvent]) -> list[ApplyEvent]:
    """The events without start events directly followed by their end, for the same kind and service."""
    remaining: list[ApplyEvent] = []
    next_events: dict[tuple[str, str | None], ApplyEvent] = {}
    for event in reversed(events):
        later = next_events.get((event.kind, event.service))
        has_ended = later is not None and later.progress in ("done", "failed") and _is_same(event, later)
        if not (event.progress == "started" and has_ended):
            remaining.append(event)
        next_events[event.kind, event.service] = event
    return remaining[::-1]


def _is_same(event: ApplyEvent, later: ApplyEvent) -> bool:
    """Whether both events are about the same step or operation; those of one service never interleave."""
    return event.operation == later.operation and event.kind == later.kind


def _style(result: str) -> str:
    if result in ("failed", "interrupted"):
        return "error"
    return "warning" if result == "rolled back" or "/" in result else ""


class HistoryPane(TablePane):
    """Revisions and applies, newest first; any two revisions can be compared."""

    BINDINGS = [*HISTORY]

    class RollBackAsked(Message):
        """The user wants to return to this revision."""

        def __init__(self, revision: int) -> None:
            super().__init__()
            self.revision = revision

    def __init__(self, history: History, logs: Logs, may: Callable[[str], bool | None], **options: str) -> None:
        super().__init__(COLUMNS, **options)
        self._history = history
        self._logs = logs
        self._may = may
        self._revisions: Mapping[int, Assignments] = {}
        self._applies: Mapping[int, ApplyRecord] = {}
        self._labels: Mapping[str, str] = {}
        self._marked: int | None = None
        self._mark: object = None
        self._limit = PAGE

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide actions that are not permitted."""
        del parameters
        return self._may(action)

    def show(self, snapshot: Snapshot) -> None:
        """Reload if something was saved or applied."""
        self._labels = labels_by_uuid(snapshot.inventory.gpus)
        mark = (snapshot.draft.saved.revision, snapshot.apply)
        if mark != self._mark:
            self._mark = mark
            self._read()

    @work(exclusive=True, group="history")
    async def _read(self) -> None:
        limit = self._limit
        try:
            revisions = await in_thread(lambda: self._history.revisions(limit + 1))
            applies = await in_thread(lambda: self._history.applies(limit + 1))
        except GputuiError:
            revisions, applies = (), ()
        self._revisions = {revision.revision: revision for revision in revisions}
        self._applies = {record.id: record for record in applies}
        if self._marked not in self._revisions:
            self._marked = None
        self._show()

    @on(DataTable.RowHighlighted)
    def _row_highlighted(self, message: DataTable.RowHighlighted) -> None:
        if self._has_more and message.cursor_row == self.table.row_count - 1:
            self._limit += PAGE
            self._read()

    @property
    def _has_more(self) -> bool:
        """Whether there is another page."""
        return max(len(self._revisions), len(self._applies)) > self._limit

    def _show(self) -> None:
        revisions = list(self._revisions.values())[: self._limit]
        applies = list(self._applies.values())[: self._limit]
        rows = [
            (
                revision.saved_at,
                self._row(
                    f"revision {revision.revision}", revision.saved_at, revision.author, "saved", revision.reason.text
                ),
            )
            for revision in revisions
        ]
        for record in applies:
            result = "interrupted" if record.cut_off else record.result.replace("_", " ")
            done_count = sum(outcome == "done" for outcome in record.services.values())
            if record.result in ("rolled_back", "failed") and done_count:
                result = f"{done_count}/{len(record.services)} done"
            row = self._row(
                f"apply {record.id}", record.started_at, record.operator, result, record.message or record.reason.text
            )
            rows.append((record.started_at, row))
        # If one kind is truncated, the other one ends at the same time.
        ends = [revisions[-1].saved_at] if len(self._revisions) > self._limit else []
        ends += [applies[-1].started_at] if len(self._applies) > self._limit else []
        rows = sorted((row for row in rows if row[0] >= max(ends, default="")), key=lambda row: row[0], reverse=True)
        head = "nothing was saved yet: ^s saves"
        if rows:
            more_hint = "; more below the last row" if self._has_more else ""
            head = f"revisions: {len(revisions)}, applies: {len(applies)}{more_hint}"
        if self._marked is not None:
            head += f"   revision {self._marked} is marked: space on another compares them"
        self.show_rows(head, [row for _, row in rows])

    def _row(self, title: str, timestamp: str, author: str, result: str, reason: str) -> Row:
        mark = "●" if title == f"revision {self._marked}" else ""
        texts = {" ": mark, "WHAT": title, "WHEN": date_text(timestamp), "BY": author, "RESULT": result, "WHY": reason}
        return Row(
            key=title,
            cells={name: cell(text, _style(text) if name == "RESULT" else "") for name, text in texts.items()},
        )

    def _selected(self) -> tuple[str, int] | None:
        kind, _, number = (self.table.selected_key or "").partition(" ")
        value = whole_number(number, least=0)
        return None if value is None else (kind, value)

    @on(DataTable.RowSelected)
    def _row_entered(self, message: DataTable.RowSelected) -> None:
        message.stop()
        self.action_open()

    @work(exclusive=True, group="open")
    async def action_open(self) -> None:
        """Open the details of the selected row."""
        selected = self._selected()
        if selected is None:
            return
        kind, number = selected
        if kind == "revision":
            self.app.push_screen(ReadingScreen(f"revision {number}", self._revision_text(number)))
            return
        try:
            text = await in_thread(lambda: self._apply_text(number))
        except GputuiError as error:
            self.notify(error.what, severity="error", markup=False)
            return
        self.app.push_screen(ReadingScreen(f"apply {number}", text))

    def _revision_text(self, number: int) -> str:
        revision = self._revisions[number]
        previous = self._revisions.get(number - 1, Assignments() if number == 1 else None)
        names = distinct_names([assignment.key for assignment in revision.items])
        lines = [
            f"saved {date_text(revision.saved_at)} by {revision.author}: {revision.reason.text}",
            f"strategy {revision.strategy}",
            "",
            *(
                f"  {names[assignment.key]:24} {assignment_text(assignment, self._labels)}"
                for assignment in revision.items
            ),
            "",
        ]
        if previous is None:
            lines.append(f"revision {number - 1} is no longer kept")
        else:
            lines.append(f"against revision {previous.revision}:")
            lines += [f"  {line}" for line in revision_difference(previous, revision, self._labels)]
        return "\n".join(lines)

    def _apply_text(self, number: int) -> str:
        record = self._history.record(number)
        events = without_started(self._history.events(number))
        lines = [
            f"revision {record.revision}, by {record.operator}: {record.reason.text}",
            f"from {date_text(record.started_at)} to {date_text(record.ended_at)}: {record.result.replace('_', ' ')}",
            *([record.message] if record.message else []),
            *(f"  {name}: {outcome.replace('_', ' ')}" for name, outcome in record.services.items()),
            "",
            *(f"{clock_text(event.at)}  {event.service or '':16} {event.progress:8} {event.text}" for event in events),
        ]
        for name, log in self._logs.kept(number).items():
            lines += ["", f"the last lines of the old container of {name}:", *(f"  │ {line}" for line in log)]
        return "\n".join(lines)

    def action_mark(self) -> None:
        """Mark a revision, or compare the selected one with it."""
        selected = self._selected()
        if selected is None or selected[0] != "revision":
            self.notify("revisions are compared; select one", markup=False)
            return
        number = selected[1]
        if self._marked is None or self._marked == number:
            self._marked = None if self._marked == number else number
            self._show()
            return
        older, newer = sorted((self._marked, number))
        lines = revision_difference(self._revisions[older], self._revisions[newer], self._labels)
        text = "\n".join(lines) or "they assign the same"
        self._marked = None
        self._show()
        self.app.push_screen(ReadingScreen(f"from revision {older} to revision {newer}", text))

    def action_roll_back(self) -> None:
        """Return to the selected revision."""
        selected = self._selected()
        if selected is not None and selected[0] == "revision":
            self.post_message(self.RollBackAsked(selected[1]))
        else:
            self.notify("select a revision to go back to", markup=False)
