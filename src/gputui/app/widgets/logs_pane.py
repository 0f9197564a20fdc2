"""The logs pane: one or several logs side by side, with their keys."""

import time
from datetime import datetime
from pathlib import Path

from textual import getters, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from gputui.app.background import in_thread
from gputui.app.config.keymap import LOGS
from gputui.app.config.preferences import Preferences
from gputui.app.guarded import Guarded
from gputui.app.render.log_buffer import merged
from gputui.app.widgets.log_pane import LogPane
from gputui.app.widgets.log_view import LogView
from gputui.app.widgets.prompt import Prompt, focus_now
from gputui.controller.protocols import Logs
from gputui.domain.errors import GputuiError
from gputui.domain.log import LogWindow
from gputui.domain.service import Service, ServiceKey
from gputui.domain.snapshot import Snapshot

MAX_PANES = 4
WINDOWS: tuple[tuple[str, float | None], ...] = (
    ("", None), ("all of it", None), ("last minute", 60.0), ("last 5 min", 300.0), ("last 15 min", 900.0),
    ("last 30 min", 1800.0), ("last hour", 3600.0),
)  # fmt: skip
COPY_LIMIT = 74_994
"""Maximum bytes of copied text (xterm's limit for OSC 52, less its encoding)."""


class LogsPane(Guarded, Vertical, can_focus=True):
    """One or several log panes; keys act on the `current` one."""

    BINDINGS = [*LOGS]

    row = getters.query_one("#log-panes", Horizontal)
    prompt = getters.query_one(Prompt)

    def __init__(self, logs: Logs, preferences: Preferences, **options: str) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._logs = logs
        self._preferences = preferences
        self._search = ""
        self._searched_unread: tuple[LogPane, ServiceKey | None, str] | None = None
        """The pane, service and text of a search that was started before the first line arrived."""
        self._merged: LogPane | None = None
        self._selected: Service | None = None
        self._place = 0

    def compose(self) -> ComposeResult:
        """A single pane at first."""
        with Horizontal(id="log-panes"):
            yield self._new_pane()
        yield Prompt()

    def _new_pane(self) -> LogPane:
        defaults = self._preferences.log
        pane = LogPane(self._logs, LogWindow(tail=defaults.tail))
        pane.view.times, pane.view.wrapping = defaults.times, defaults.wrap
        return pane

    @property
    def panes(self) -> list[LogPane]:
        """All panes except the merged one."""
        return [pane for pane in self.query(LogPane) if pane is not self._merged]

    @property
    def current(self) -> LogPane:
        """The pane that keys act on."""
        if self._merged is not None:
            return self._merged
        panes = self.panes
        return panes[min(self._place, len(panes) - 1)]

    def show(self, snapshot: Snapshot, selected: Service | None) -> None:
        """Follow the selected service in the unpinned pane; pinned panes keep their own."""
        self._selected = selected
        by_key = {service.key: service for service in snapshot.services}
        for pane in self.panes:
            if pane.pinned and pane.key is not None:
                pane.follow(by_key.get(pane.key))
            else:
                pane.follow(selected)

    def stop(self) -> None:
        """Stop reading all logs."""
        for pane in self.panes:
            pane.stop()

    @on(LogPane.Grew)
    def _grew(self, message: LogPane.Grew) -> None:
        message.stop()
        if self._merged is not None and message.pane is not self._merged:
            # In order of arrival: existing lines stay in place.
            self._merged.buffer.add(message.pane.name_shown, message.lines)
            self._merged.changed()
        searched = (message.pane, message.pane.key, self._search)
        if message.pane is self.current and searched == self._searched_unread:
            self._searched_unread = None
            self.action_match(-1)

    # --- panes ----------------------------------------------------------------------------------------------------

    async def action_split(self) -> None:
        """Pin the current panes, and add one for the service that is selected next."""
        if self._merged is not None or len(self.panes) >= MAX_PANES:
            self.notify(f"{MAX_PANES} panes are the most", markup=False)
            return
        for pane in self.panes:
            pane.pinned = True
        pane = self._new_pane()
        pane.add_class("-beside")
        await self.row.mount(pane)
        self._go_to(len(self.panes) - 1)
        pane.follow(self._selected)
        self.notify("select a service in the table to see its log in the new pane", markup=False)

    async def action_close(self) -> None:
        """Close the current pane; the last one follows the selection again."""
        if self._merged is not None:
            await self.action_merge()
        elif len(self.panes) > 1:
            await self.current.remove()
            self.panes[0].remove_class("-beside")
            if len(self.panes) == 1 or all(pane.pinned for pane in self.panes):
                self.panes[-1].pinned = len(self.panes) > 1
            self._go_to(min(self._place, len(self.panes) - 1))

    def action_beside(self, step: int) -> None:
        """Make the next or previous pane the current one."""
        if self._merged is None:
            self._go_to((self._place + step) % len(self.panes))

    def _go_to(self, place: int) -> None:
        self._place = place
        is_split = len(self.panes) > 1
        for number, pane in enumerate(self.panes):
            pane.set_class(is_split and number == place, "-current")

    async def action_merge(self) -> None:
        """Merge all panes into one, or split them again."""
        if self._merged is None:
            self._merged = pane = self._new_pane()
            pane.view.named = True
            pane.note = "merged: " + ", ".join(log_pane.name_shown for log_pane in self.panes)
            await self.row.mount(pane)
            pane.buffer.take_over(merged(log_pane.buffer for log_pane in self.panes))
            pane.changed()
        else:
            await self._merged.remove()
            self._merged = None
        for log_pane in self.panes:
            log_pane.display = self._merged is None

    # --- search and filter ----------------------------------------------------------------------------------------

    def action_search(self) -> None:
        """Prompt for a search."""
        self.prompt.ask("search", self._search)

    def action_only(self) -> None:
        """Prompt for a filter."""
        self.prompt.ask("show only lines with", self.current.buffer.filter_text)

    @on(Prompt.Typed)
    def _typed(self, message: Prompt.Typed) -> None:
        message.stop()
        if message.purpose == "search":
            self._search = message.text
            self.current.view.search(message.text)
        else:
            self._filter(message.text)

    @on(Prompt.Done)
    def _typed_all(self, message: Prompt.Done) -> None:
        message.stop()
        focus_now(self)
        if message.purpose != "search":
            self._filter(message.text if message.accepted else "")
            return
        self._search = message.text if message.accepted else ""
        self.current.search_status = ""
        self.current.show_title()
        self.current.view.search(self._search)
        if self._search:
            self.action_match(-1)

    def _filter(self, text: str) -> None:
        pane = self.current
        pane.buffer.set_filter(text)
        pane.view.current = None
        pane.changed()

    def action_match(self, step: int) -> None:
        """Go to the next or previous match; wraps around."""
        view = self.current.view
        places = view.buffer.matches(self._search)
        if not places and self._search and self.current.unread:
            self._searched_unread = (self.current, self.current.key, self._search)
            self.notify("no line came yet; it is searched when they come", markup=False)
            return
        if not places:
            self.notify(f"no line has “{self._search}”" if self._search else "nothing was searched yet", markup=False)
            return
        position = view.current
        if position is None:
            position = len(view.buffer.visible) if view.following else view.top_place
        next_places = [place for place in places if place > position] or places
        previous_places = [place for place in places if place < position] or places
        view.go_to(next_places[0] if step > 0 else previous_places[-1])
        self.current.search_status = f"{places.index(view.current or 0) + 1} of {len(places)} with “{self._search}”"
        self.current.show_title()

    # --- view options ---------------------------------------------------------------------------------------------

    def action_follow(self) -> None:
        """Toggle following."""
        view = self.current.view
        view.following = not view.following
        self.current.changed()

    @on(LogView.Paused)
    def _paused(self) -> None:
        self.current.show_title()

    def action_times(self) -> None:
        """Toggle timestamps."""
        self.current.view.times = not self.current.view.times
        self.current.changed()

    def action_wrap(self) -> None:
        """Toggle line wrapping."""
        self.current.view.wrapping = not self.current.view.wrapping
        self.current.changed()

    def action_pretty(self) -> None:
        """Toggle pretty-printed JSON."""
        self.current.view.json = not self.current.view.json
        self.current.changed()

    def action_mark(self) -> None:
        """Insert a mark with the current time."""
        self.current.buffer.remark(time.strftime("mark of %H:%M:%S ") + "─" * 40)
        self.current.changed()

    def action_to_line(self, place: int) -> None:
        """Go to the first line, or to the last one and follow."""
        view = self.current.view
        view.following = place < 0
        view.current = None
        if view.following:
            view.changed()
        else:
            view.scroll_home(animate=False, force=True)
        self.current.show_title()

    def action_scroll(self, rows: int) -> None:
        """Scroll by n rows."""
        self.current.view.move(rows)

    def action_aside(self, halves: int) -> None:
        """Scroll sideways by n halves of the pane."""
        self.current.view.move_aside(halves)

    def key_down(self) -> None:
        """Scroll down by one row."""
        self.action_scroll(1)

    def key_up(self) -> None:
        """Scroll up by one row."""
        self.action_scroll(-1)

    def key_pagedown(self) -> None:
        """Scroll down by one page."""
        self.action_scroll(max(1, self.current.view.size.height - 1))

    def key_pageup(self) -> None:
        """Scroll up by one page."""
        self.action_scroll(-max(1, self.current.view.size.height - 1))

    # --- windows and export ---------------------------------------------------------------------------------------

    def action_window(self, number: int) -> None:
        """Read another window of the log."""
        note, seconds = WINDOWS[number]
        if self._merged is not None:
            return
        tail = self._preferences.log.tail if number == 0 else None
        start = None if seconds is None else time.time() - seconds
        self.current.open_window(LogWindow(tail=tail, since=start), note)

    @work(exclusive=True, group="earlier")
    async def action_earlier(self) -> None:
        """Show the log of the replaced container, or return from it."""
        pane = self.current
        key = pane.key
        if key is None or pane is self._merged:
            return
        if pane.earlier:
            pane.show_present()
            return
        try:
            lines = await in_thread(lambda: self._logs.previous(key))
        except GputuiError as error:
            self.notify(error.what, severity="error", markup=False)
            return
        pane.show_earlier(lines)

    def _text(self) -> str:
        view = self.current.view
        lines = []
        for entry in view.buffer.visible:
            timestamp = f"{entry.at} " if view.times and entry.at else ""
            source = f"{entry.source} " if view.named and entry.source else ""
            lines.append(f"{timestamp}{source}{entry.text}")
        return "\n".join(lines) + "\n"

    @work(exclusive=True, group="save")
    async def action_save(self) -> None:
        """Write the visible lines to a file in the working directory, readable only by its owner."""
        name = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in self.current.name_shown)
        path = Path.cwd() / f"{name}-{datetime.now():%Y%m%d-%H%M%S}.log"
        if not self.current.view.buffer.visible:
            self.notify("there is no line to write", severity="warning", markup=False)
            return
        text = self._text()

        def write() -> None:
            path.touch(mode=0o600, exist_ok=False)
            path.write_text(text, encoding="utf-8")

        try:
            await in_thread(write)
        except OSError as error:
            self.notify(f"{path} cannot be written: {error.strerror}", severity="error", markup=False)
            return
        self.notify(f"{len(self.current.buffer.visible)} lines written to {path}", markup=False)

    def action_copy(self) -> None:
        """Copy the visible lines by means of the terminal."""
        if self._preferences.copy_by != "osc52":
            text = "copying is off: with `copy_by: osc52` in the settings the terminal is asked to do it"
            self.notify(text, severity="warning", markup=False)
            return
        text = self._text().encode()[-COPY_LIMIT:].decode(errors="ignore")
        self.app.copy_to_clipboard(text)
        self.notify(f"{text.count(chr(10))} lines copied, if the terminal allows it", markup=False)
