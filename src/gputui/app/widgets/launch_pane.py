"""The progress of an apply, be it this screen's or another's."""

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import RichLog, Static

from gputui.app.background import in_thread
from gputui.app.widgets.log_pane import LogPane
from gputui.control.room import ControlRoom
from gputui.domain.errors import GputuiError
from gputui.domain.event import ApplyEvent, ApplyRecord
from gputui.domain.service import Service

POLL_S = 0.25
KEPT_LINES = 2_000
RESULTS = {
    "done": "done",
    "rolled_back": "failed; what was begun was taken back",
    "failed": "failed, and needs a person",
    "running": "running",
}


class LaunchPane(Vertical):
    """Follows one apply's events."""

    class Ended(Message):
        """An apply that was followed has ended."""

        def __init__(self, record: ApplyRecord) -> None:
            super().__init__()
            self.record = record

    def __init__(self, room: ControlRoom, **options: str) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._room = room
        self._number: int | None = None
        self._seen = 0
        self._ended = True
        self._asking = False
        self._service: str | None = None
        self._current = "running"

    def compose(self) -> ComposeResult:
        """A title, the events, and beside them the log of the container that is being launched."""
        yield Static(" no apply yet", classes="launch-title", markup=False)
        with Horizontal():
            yield RichLog(max_lines=KEPT_LINES, wrap=True, markup=False, highlight=False)
            yield LogPane(self._room)

    def on_mount(self) -> None:
        """Begin to ask for events."""
        self.set_interval(POLL_S, self._poll)

    def follow(self, number: int) -> None:
        """Follow this apply from its first event."""
        if number == self._number:
            return
        self._number, self._seen, self._ended = number, 0, False
        self.query_one(RichLog).clear()

    def show(self, services: Sequence[Service]) -> None:
        """Follow the log of the service whose turn it is; none, where the pane is not seen."""
        service = next((one for one in services if one.name == self._service), None)
        pane = self.query_one(LogPane)
        if service is None:
            pane.stop()
        else:
            pane.follow(service)

    async def _poll(self) -> None:
        number = self._number
        if number is None or self._ended or self._asking:
            return
        self._asking = True
        try:
            record = await in_thread(lambda: self._room.record(number))
            events = await in_thread(lambda: self._room.events(number, self._seen))
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
            self._seen = event.number
            self._service = event.service or self._service
            if event.kind == "operation" and event.progress == "started":
                self._current = event.text
            else:
                log.write(_line(event))
        if record.result != "running":
            self._ended = True
            self.post_message(self.Ended(record))
        state = self._current if record.result == "running" else RESULTS[record.result]
        title = f" apply {record.id} of {record.operator}, revision {record.revision}: {state}"
        self.query_one(".launch-title", Static).update(title + (f" — {record.message}" if record.message else ""))


def _line(event: ApplyEvent) -> Text:
    marks = {"started": "…", "done": "✓", "failed": "✗", "waiting": "…"}
    clock = event.at[11:19]
    if event.kind == "log":
        return Text(f"{clock}     │ {event.text}", style="dim")
    indent = {"step": " ", "operation": "   ", "undo": "   ↩ "}.get(event.kind, "")
    named = f"{event.service}: " if event.service and event.kind in ("operation", "undo") else ""
    style = "bold" if event.kind in ("step", "result") or event.progress == "failed" else ""
    return Text(f"{clock} {indent}{marks[event.progress]} {named}{event.text}", style=style)
