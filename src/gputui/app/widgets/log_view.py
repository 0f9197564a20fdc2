"""The view of a log: only visible lines are rendered."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from gputui.app.config.themes import MONO
from gputui.app.render.log_buffer import Entry, LogBuffer, pretty
from gputui.app.render.matching import pattern_of
from gputui.app.render.values import clock_text

SOURCES = tuple(f"log-view--source-{number}" for number in range(4))
REMARK = "— "
STDERR = "┃"
"""Marks stderr lines where there is no colour."""


@dataclass(slots=True)
class RowLayout:
    """The rows of wrapped entries, for one `look`. Entries are numbered from the first one ever added."""

    look: tuple[object, ...]
    rows: deque[tuple[int, str]] = field(default_factory=deque)
    first: int = 0
    entries: int = 0

    def append(self, pieces: Sequence[str]) -> None:
        """Append the rows of one entry."""
        number = self.first + self.entries
        self.rows.extend((number, piece) for piece in pieces)
        self.entries += 1

    def drop(self, entries: int) -> int:
        """Drop the first entries; returns the number of their rows."""
        self.first += entries
        self.entries -= entries
        count = len(self.rows)
        while self.rows and self.rows[0][0] < self.first:
            self.rows.popleft()
        return count - len(self.rows)


class LogView(ScrollView, can_focus=False):
    """Draws a `LogBuffer`; stays at its end while `following`."""

    COMPONENT_CLASSES = {
        "log-view--text", "log-view--stderr", "log-view--time", "log-view--remark", "log-view--match",
        "log-view--current", *SOURCES,
    }  # fmt: skip

    class Paused(Message):
        """The user scrolled away from the end."""

    def __init__(self, buffer: LogBuffer) -> None:
        super().__init__()
        self.buffer = buffer
        self.following = True
        self.times = False
        self.wrapping = False
        self.json = False
        self.named = False
        self._pattern = pattern_of("")
        self.current: int | None = None
        self._rows: RowLayout | None = None
        self._numbers: dict[str, int] = {}
        self._seen_evicted = 0

    # --- rendering ------------------------------------------------------------------------------------------------

    @property
    def _is_plain(self) -> bool:
        """Whether each entry takes one row, so that no layout is needed."""
        return not self.wrapping and not self.json

    def changed(self) -> None:
        """Update the view after a change of the buffer."""
        evicted = self.buffer.evicted - self._seen_evicted
        self._seen_evicted = self.buffer.evicted
        if self.current is not None:
            self.current = max(0, self.current - evicted) if evicted >= 0 else None
        removed = self._measure(evicted)
        if self.following:
            self.scroll_end(animate=False, immediate=True, force=True)
        elif removed > 0:
            # Keep the visible rows in place although earlier ones were dropped.
            self.scroll_to(y=max(0, self.scroll_y - removed), animate=False, immediate=True, force=True)
        self.refresh()

    def _measure(self, evicted: int) -> int:
        """Update the virtual size; returns the number of rows dropped at the start."""
        width = self.scrollable_content_region.width or 80
        entries = self.buffer.visible
        if self._is_plain:
            self._rows = None
            longest = max((cell_len(entry.text) for entry in self._last(200)), default=0) + 40
            self.virtual_size = Size(max(width, longest), len(entries))
            return evicted
        layout = self._rows
        look = (
            width,
            self.wrapping,
            self.json,
            self.times,
            self.named,
            self.buffer.filter_text,
            self.app.theme == MONO,
        )
        if layout is None or layout.look != look or evicted < 0 or layout.entries - evicted > len(entries):
            layout = self._rows = RowLayout(look)
            evicted = 0
        removed = layout.drop(evicted)
        for place in range(layout.entries, len(entries)):
            layout.append(self._pieces(entries[place], width))
        self.virtual_size = Size(width, len(layout.rows))
        return removed

    def _last(self, count: int) -> Sequence[Entry]:
        entries = self.buffer.visible
        return [entries[place] for place in range(max(0, len(entries) - count), len(entries))]

    def _pieces(self, entry: Entry, width: int) -> list[str]:
        text_width = max(10, width - self._head_width(entry))
        texts = pretty(entry.text) if self.json else (entry.text,)
        return [piece for text in texts for piece in (_wrapped(text, text_width) if self.wrapping else [text])]

    def _is_signed(self, entry: Entry) -> bool:
        return entry.stream == "stderr" and self.app.theme == MONO

    def _head_width(self, entry: Entry) -> int:
        return (
            self._is_signed(entry)
            + (9 if self.times and entry.source else 0)
            + (len(entry.source) + 1 if self.named and entry.source else 0)
        )

    def _row(self, y: int) -> tuple[int, str] | None:
        if self._is_plain:
            return (y, self.buffer.visible[y].text) if 0 <= y < len(self.buffer.visible) else None
        layout = self._rows
        if layout is None or not 0 <= y < len(layout.rows):
            return None
        number, text = layout.rows[y]
        return number - layout.first, text

    def render_line(self, y: int) -> Strip:
        """Render one row."""
        scroll_x, scroll_y = self.scroll_offset
        width = self.scrollable_content_region.width
        row = self._row(scroll_y + y)
        base = self.rich_style
        if row is None:
            return Strip.blank(width, base)
        place, text = row
        if place >= len(self.buffer.visible):
            return Strip.blank(width, base)
        entry = self.buffer.visible[place]
        begins = self._is_plain or scroll_y + y == 0 or (self._row(scroll_y + y - 1) or (-1, ""))[0] != place
        head = self._head(entry, begins=begins)
        body = self._body(text, entry, place)
        strip = Strip([*head, *body])
        return strip.crop_extend(scroll_x, scroll_x + width, base)

    def _head(self, entry: Entry, *, begins: bool) -> list[Segment]:
        if not entry.source:
            return []
        parts = []
        if self.times:
            text = clock_text(entry.at) if begins else " " * 8
            parts.append(Segment(text + " ", self._style("log-view--time")))
        if self.named:
            number = self._numbers.setdefault(entry.source, len(self._numbers))
            name = entry.source if begins else " " * cell_len(entry.source)
            parts.append(Segment(name + " ", self._style(SOURCES[number % len(SOURCES)])))
        if self._is_signed(entry):
            parts.append(Segment(STDERR, self._style("log-view--stderr")))
        return parts

    def _body(self, text: str, entry: Entry, place: int) -> list[Segment]:
        if not entry.source:
            return [Segment(REMARK + text, self._style("log-view--remark"))]
        style = self._style("log-view--stderr" if entry.stream == "stderr" else "log-view--text")
        if self._pattern is None:
            return [Segment(text, style)]
        match_style = self._style("log-view--current" if place == self.current else "log-view--match")
        parts, end = [], 0
        for match in self._pattern.finditer(text):
            if match.start() == match.end():
                continue
            parts += [Segment(text[end : match.start()], style), Segment(match[0], match_style)]
            end = match.end()
        return [*(part for part in parts if part.text), Segment(text[end:], style)]

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(name)

    def on_resize(self) -> None:
        """Lay out for the new width."""
        self.changed()

    # --- moving ---------------------------------------------------------------------------------------------------

    def search(self, text: str) -> None:
        """Highlight matches."""
        self._pattern = pattern_of(text)
        self.refresh()

    def go_to(self, place: int) -> None:
        """Scroll to this line and stop following."""
        self.following = False
        self.current = place
        layout = self._rows
        y = place
        if layout is not None:
            y = next((y for y, row in enumerate(layout.rows) if row[0] == layout.first + place), 0)
        height = self.scrollable_content_region.height
        self.scroll_to(y=max(0, y - height // 2), animate=False, force=True)
        self.refresh()

    @property
    def top_place(self) -> int:
        """The index of the top visible line."""
        row = self._row(int(self.scroll_offset.y))
        return row[0] if row else 0

    def move(self, rows: int) -> None:
        """Scroll by n rows; stops following when the end is left, and resumes when it is reached."""
        self.scroll_to(y=self.scroll_y + rows, animate=False, force=True, immediate=True)
        self.following = self.scroll_y >= self.max_scroll_y and rows > 0
        self.post_message(self.Paused())

    def move_aside(self, halves: int) -> None:
        """Scroll sideways by n halves of the pane."""
        step = max(1, self.scrollable_content_region.width // 2)
        self.scroll_to(x=self.scroll_x + halves * step, animate=False, force=True, immediate=True)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll up, which pauses following."""
        event.stop()
        self.move(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll down, which resumes following at the end."""
        event.stop()
        self.move(3)


def _wrapped(text: str, width: int) -> list[str]:
    """Pieces of at most `width` cells."""
    if cell_len(text) <= width:
        return [text]
    pieces = []
    while text:
        piece = (
            set_cell_size(text[:width], min(width, cell_len(text[:width]))) if text.isascii() else _fitting(text, width)
        )
        pieces.append(piece)
        text = text[len(piece) :]
    return pieces


def _fitting(text: str, width: int) -> str:
    length = cells = 0
    for sign in text:
        cells += cell_len(sign)
        if cells > width and length:
            break
        length += 1
    return text[:length]
