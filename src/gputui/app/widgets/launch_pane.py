"""The launch pane: the progress of an apply, from this screen or another one."""

import time
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import RichLog, Static

from gputui.app.background import in_thread
from gputui.app.commands import Commands
from gputui.app.config.keymap import LAUNCH
from gputui.app.guarded import Guarded
from gputui.app.render.values import clock_text, duration_text
from gputui.app.widgets.log_pane import LogPane
from gputui.controller.protocols import Applies, History, Logs
from gputui.domain.errors import GputuiError
from gputui.domain.event import WATCH, ApplyEvent, ApplyRecord
from gputui.domain.service import Service
from gputui.domain.text import moment

POLL_S = 0.25
MAX_LINES = 2_000
BAR = 20
RESULTS = {
    "done": "done",
    "rolled_back": "failed; what was begun was rolled back",
    "failed": "failed: manual action required",
    "running": "running",
}


class LaunchPane(Guarded, Vertical, can_focus=True):
    """Follows the events of one apply."""

    BINDINGS = [*LAUNCH]

    class Ended(Message):
        """The followed apply has ended."""

        def __init__(self, record: ApplyRecord) -> None:
            super().__init__()
            self.record = record

    def __init__(
        self, history: History, applies: Applies, logs: Logs, commands: Commands, *, readonly: bool, **options: str
    ) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._history = history
        self._applies = applies
        self._logs = logs
        self._commands = commands
        self._readonly = readonly
        self._number: int | None = None
        self._last_event = 0
        self._ended = True
        self._asking = False
        self._service: str | None = None
        self._current = "running"
        self._waiting: dict[str, float] = {}
        self._usual: dict[str, float | None] = {}

    def compose(self) -> ComposeResult:
        """A title, the loading progress, the events, and the log of the container that is starting."""
        yield Static(" no apply yet: a saves the draft and carries the plan out", classes="launch-title", markup=False)
        yield Static("", id="launch-progress", markup=False)
        with Horizontal():
            log = RichLog(max_lines=MAX_LINES, min_width=1, wrap=True, markup=False, highlight=False)
            log.can_focus = False
            yield log
            yield LogPane(self._logs)

    def on_mount(self) -> None:
        """Start to poll events."""
        self.set_interval(POLL_S, self._poll)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only a running apply can be cancelled."""
        del parameters
        if action == "cancel":
            return not self._readonly and not self._ended
        return True

    def follow(self, number: int) -> None:
        """Follow an apply from its first event."""
        if number == self._number:
            return
        self._number, self._last_event, self._ended = number, 0, False
        self._service, self._waiting = None, {}
        self.query_one(RichLog).clear()
        self.refresh_bindings()

    @work(group="command")
    async def action_cancel(self) -> None:
        """Cancel the apply, which rolls it back."""
        if self._number is not None and not self._ended:
            await self._commands.cancel(self._number)

    def show(self, services: Sequence[Service]) -> None:
        """Follow the log of the service that is starting; none if the pane is hidden."""
        # If several load at once, the last one started.
        name = next(reversed(self._waiting), self._service)
        service = next((service for service in services if name and service.was_called(name)), None)
        pane = self.query_one(LogPane)
        if service is None:
            pane.stop()
            return
        pane.follow(service)
        self._show_progress(service)

    def _show_progress(self, service: Service) -> None:
        line = self.query_one("#launch-progress", Static)
        text = ""
        began = self._waiting.get(service.name)
        if began is not None and not self._ended:
            waited = max(0.0, time.time() - began)
            if service.name not in self._usual:
                self._usual[service.name] = None
                self._find_usual(service)
            usual = self._usual[service.name]
            parts = [f"{service.name}: {service.loading.text if service.loading else 'starting'}"]
            if service.loading and service.loading.percent is not None:
                filled = service.loading.percent * BAR // 100
                parts.append("█" * filled + "░" * (BAR - filled))
            health = service.container.health if service.container else None
            parts += [f"health: {health}"] if health else []
            parts.append(f"{duration_text(waited)}" + (f" of about {duration_text(usual)}" if usual else ""))
            text = " " + " · ".join(parts)
        if line.content != text:
            line.display = bool(text)
            line.update(text)

    @work(group="usual")
    async def _find_usual(self, service: Service) -> None:
        try:
            self._usual[service.name] = await in_thread(lambda: self._applies.usual_start_s(service.key))
        except GputuiError:
            self._usual[service.name] = None

    async def _poll(self) -> None:
        number = self._number
        if number is None or self._ended or self._asking:
            return
        self._asking = True
        try:
            record = await in_thread(lambda: self._history.record(number))
            events = await in_thread(lambda: self._history.events(number, self._last_event))
        except GputuiError:
            return
        finally:
            self._asking = False
        if number != self._number or not self.is_attached:
            return
        self._show(record, events)

    def _show(self, record: ApplyRecord, events: tuple[ApplyEvent, ...]) -> None:
        log = self.query_one(RichLog)
        for event in events:
            self._last_event = event.number
            self._service = event.service or self._service
            if event.kind == "operation" and event.operation == WATCH:
                if event.progress == "started":
                    self._waiting[event.service or ""] = moment(event.at) or time.time()
                elif event.progress != "waiting":
                    self._waiting.pop(event.service or "", None)
            if event.kind == "operation" and event.progress == "started":
                self._current = event.text
            else:
                log.write(_line(event))
        if record.result != "running":
            self._ended = True
            self.query_one("#launch-progress", Static).display = False
            self.refresh_bindings()
            self.post_message(self.Ended(record))
        state = self._current if record.result == "running" else outcome_text(record)
        title = f" apply {record.id} of {record.operator}, revision {record.revision}: {state}"
        title_line = self.query_one(".launch-title", Static)
        title_line.set_class(record.result in ("failed", "rolled_back"), "-failed")
        title_line.update(title + (f" — {record.message}" if record.message else ""))


def outcome_text(record: ApplyRecord) -> str:
    """The result, and how many services are done if not all are."""
    done_count = sum(outcome == "done" for outcome in record.services.values())
    if record.result != "done" and done_count:
        return f"{RESULTS[record.result]} ({done_count} of {len(record.services)} are done)"
    return RESULTS[record.result]


def _line(event: ApplyEvent) -> Table:
    """An event with its time and mark; the text wraps with a hanging indent."""
    marks = {"started": "…", "done": "✓", "failed": "✗", "waiting": "…"}
    clock = clock_text(event.at)
    if event.kind == "log":
        return _beside(f"{clock}     │ ", event.text, "dim")
    indent = {"step": " ", "operation": "   ", "undo": "   ↩ "}.get(event.kind, "")
    prefix = f"{event.service}: " if event.service and event.kind in ("operation", "undo") else ""
    style = "bold" if event.kind in ("step", "result") or event.progress == "failed" else ""
    return _beside(f"{clock} {indent}{marks[event.progress]} ", prefix + event.text, style)


def _beside(lead: str, text: str, style: str) -> Table:
    table = Table.grid()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text(lead, style), Text(text, style))
    return table
