"""The live log of one service, with a title."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from gputui.app.background import in_thread
from gputui.app.guarded import Guarded
from gputui.app.render.log_buffer import LogBuffer
from gputui.app.widgets.log_view import LogView
from gputui.controller.protocols import Logs
from gputui.domain.errors import GputuiError
from gputui.domain.log import LogLine, LogWindow
from gputui.domain.service import Service, ServiceKey
from gputui.domain.text import moment

FLUSH_S = 0.25
"""Four updates a second look as smooth as a hundred small writes, at a fraction of the bytes."""
AGAIN_S = 2.0
"""Delay before a log that has ended is requested again."""


class LogPane(Guarded, Vertical):
    """Follows the log of a service; a new container is followed from its first line."""

    class Grew(Message):
        """New lines arrived."""

        def __init__(self, pane: "LogPane", lines: Sequence[LogLine]) -> None:
            super().__init__()
            self.pane = pane
            self.lines = lines

    def __init__(self, logs: Logs, window: LogWindow | None = None, **options: str) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._logs = logs
        self.window = window or LogWindow()
        self.buffer = LogBuffer()
        self.view = LogView(self.buffer)
        self._service: Service | None = None
        self._run: str | None = None
        self._feed: int | None = None
        self._stopped = True
        self.pinned = False
        self.earlier = False
        self.note = ""
        self.search_status = ""
        self._reading = False
        self._skip_until: float | None = None
        self._ended = False

    def compose(self) -> ComposeResult:
        """A title and the lines."""
        yield Static("", classes="log-title", markup=False)
        yield self.view

    def on_mount(self) -> None:
        """Start to read from the feed."""
        self.set_interval(FLUSH_S, self._flush)
        self.show_title()

    @property
    def key(self) -> ServiceKey | None:
        """The service whose log is shown."""
        return self._service.key if self._service else None

    @property
    def name_shown(self) -> str:
        """The service's name."""
        return self._service.name if self._service else "no service"

    @property
    def unread(self) -> bool:
        """Whether the log is being read and no line has arrived yet."""
        return self._feed is not None and not any(entry.source for entry in self.buffer.entries)

    def follow(self, service: Service | None) -> None:
        """Follow the current container of this service, if that is not the case already."""
        container = service.container if service else None
        run = container.run if container and container.started_at is not None else None
        key = service.key if service else None
        starting = key == self.key and container is not None and run is None
        if self.earlier and key == self.key:
            return
        is_same = (key, run) == (self.key, self._run)
        if not self._stopped and (starting or is_same):
            return
        if self._ended and is_same and container is not None and not container.running:
            return  # its log is complete
        previous_run, previous_key = self._run, self.key
        self._service, self._run = service, run
        if key != previous_key or previous_run is None or run is None:
            self._open(self.window, remark=None if run else "no container yet")
        elif run == previous_run:
            self._resume()
        elif run.partition(" ")[0] == previous_run.partition(" ")[0]:
            # The same container was restarted: its earlier lines are already here.
            start = moment(container.started_at or "") if container else None
            self._skip_until = self._last_moment()
            self._open(LogWindow(tail=None, since=start), reset=False, remark="it was started again")
        else:
            self._open(LogWindow(tail=None), reset=False, remark="a new container")

    def _resume(self) -> None:
        """Resume after the last line, as far as timestamps tell."""
        timestamp = self._skip_until = self._last_moment()
        if timestamp is None:
            self._open(self.window)
        else:
            # The engine counts in whole seconds, so some lines come twice.
            self._open(LogWindow(tail=None, since=timestamp), reset=False)

    def _last_moment(self) -> float | None:
        """The time of the last line."""
        last_time = next((entry.at for entry in reversed(self.buffer.entries) if entry.at), None)
        return moment(last_time) if last_time else None

    def _open(self, window: LogWindow, *, reset: bool = True, remark: str | None = None) -> None:
        """Read from the start of the window; with `reset` existing lines are removed."""
        self._close_feed()
        self._stopped = self._ended = False
        self.earlier = False
        if reset:
            self.buffer.clear()
            self.view.current = None
            self._skip_until = None
        if remark:
            self.buffer.remark(remark)
        if self._service is not None and self._run is not None:
            try:
                # This returns at once: a thread of the feed asks the engine.
                self._feed = self._logs.follow(self._service.key, window)
            except GputuiError as error:
                self.buffer.remark(error.what)
        self.changed()

    def open_window(self, window: LogWindow, note: str) -> None:
        """Read again, from another window."""
        self.window, self.note = window, note
        self._open(window)

    def show_earlier(self, lines: Sequence[LogLine]) -> None:
        """Show the log of the previous container."""
        self._close_feed()
        self.earlier = True
        self.buffer.clear()
        self.buffer.add(self.name_shown, lines)
        self.buffer.remark("the end of the container that was replaced; p goes back" if lines else "none was kept")
        self.changed()

    def show_present(self) -> None:
        """Return to the log of the current container."""
        self._open(self.window)

    def show_title(self) -> None:
        """Update the title: the service, and what is hidden or dropped."""
        view, buffer = self.view, self.buffer
        parts = [f" log of {self.name_shown}" if self._service or not self.note else ""]
        parts += ["earlier container"] if self.earlier else []
        parts += [self.note] if self.note else []
        parts += [] if view.following else ["paused"]
        parts += [self.search_status] if self.search_status else []
        parts += [f"only {buffer.filter_text}"] if buffer.filter_text else []
        parts += [f"{buffer.dropped} lines dropped"] if buffer.dropped else []
        parts += [f"{buffer.forgotten} older lines dropped"] if buffer.forgotten else []
        parts += [
            word for is_on, word in ((view.wrapping, "wrap"), (view.times, "times"), (view.json, "JSON")) if is_on
        ]
        if self.is_mounted:
            for title in self.query(".log-title").results(Static):  # there is none while the pane is removed
                title.update(" · ".join(part for part in parts if part))

    def changed(self) -> None:
        """Update view and title after a change of the lines or options."""
        self.view.changed()
        self.show_title()

    async def _flush(self) -> None:
        feed = self._feed
        if feed is None or self._reading or not self.is_attached:
            return
        self._reading = True
        try:
            # Sanitizing lines takes time; the event loop stays free.
            batch = await in_thread(lambda: self._logs.read(feed))
        finally:
            self._reading = False
        if feed != self._feed or not self.is_attached:
            return
        lines = batch.lines
        if self._skip_until is not None and lines:
            cutoff = self._skip_until
            lines = tuple(line for line in lines if line.at is None or (moment(line.at) or 0.0) > cutoff)
            self._skip_until = None if lines else cutoff
        if batch.dropped:
            self.buffer.dropped += batch.dropped
            self.buffer.remark(f"{batch.dropped} lines came faster than they could be shown, and were dropped")
        if lines:
            self.buffer.add(self.name_shown, lines)
        if batch.ended:
            self.buffer.remark("end")
            self._close_feed()
            self._ended = True
            # If the container still runs, the engine was unreachable and is asked again.
            self.set_timer(AGAIN_S, self.stop)
        if batch.dropped or lines or batch.ended:
            self.changed()
            self.post_message(self.Grew(self, lines))

    def _close_feed(self) -> None:
        if self._feed is not None:
            self._logs.close(self._feed)
            self._feed = None

    def stop(self) -> None:
        """Stop following, for example while the pane is hidden; the lines stay."""
        self._stopped = True
        self._close_feed()

    def on_unmount(self) -> None:
        """Close the feed."""
        self._close_feed()
