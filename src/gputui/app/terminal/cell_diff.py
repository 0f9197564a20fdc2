"""Writes only changed cells to the terminal.

Textual repaints whole widgets, and writes the full colours for every piece of text. Over SSH these bytes dominate the
cost of a screen. This module remembers the cells of the terminal and reduces an update to those that differ, grouped
by style so that each style is set once. Textual's update classes are private, so Textual is pinned, and a test compares
the screen with and without this.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache

from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from gputui.app.terminal.textual_internals import ChopsUpdate, CompositorUpdate, LayoutUpdate

Cell = tuple[str, Style | None]
Span = tuple[int, int, Strip]
"""A line, the column where a strip begins, and the strip."""

GAP = 5
"""Unchanged cells between two changes that are cheaper to rewrite than to jump over (a jump is 6 to 9 bytes)."""


class CellUpdate(CompositorUpdate):
    """An update that is already encoded for the terminal."""

    def __init__(self, sequence: str) -> None:
        self._sequence = sequence

    def __rich_console__(self, console: Console, options: object) -> Iterator[Segment]:
        raise NotImplementedError("a cell update is written as it is")

    def render_segments(self, console: Console) -> str:
        """The bytes for the terminal."""
        del console
        return self._sequence


class CellGrid:
    """The cells that the terminal shows, as far as known."""

    def __init__(self) -> None:
        self._rows: dict[int, list[Cell | None]] = {}
        self._width = 0

    def forget(self) -> None:
        """Forget all cells, so that the next update is written in full."""
        self._rows.clear()

    def differences(self, update: ChopsUpdate | LayoutUpdate, width: int, colors: ColorSystem | None) -> CellUpdate:
        """The cells of the update that differ from the terminal; they are then recorded as shown."""
        if width != self._width:
            self.forget()
            self._width = width
        runs: dict[Style | None, list[tuple[int, int, str]]] = {}
        for y, start, strip in _spans(update):
            self._compare(y, start, strip, runs)
        return CellUpdate(_written(runs, colors))

    def _compare(self, y: int, start: int, strip: Strip, runs: dict[Style | None, list[tuple[int, int, str]]]) -> None:
        row = self._rows.get(y)
        if row is None:
            row = self._rows[y] = [None] * self._width
        cells = list(_cells(strip))[: max(0, self._width - start)]
        place, end = 0, len(cells)
        while place < end:
            if row[start + place] == cells[place]:
                place += 1
                continue
            while place > 0 and cells[place][0] == "":
                place -= 1  # the second half of a wide character: write all of it
            style = cells[place][1]
            stop = _run_end(row, start, cells, place, style)
            text = "".join(character for character, _ in cells[place:stop])
            runs.setdefault(style, []).append((y, start + place, text))
            row[start + place : start + stop] = cells[place:stop]
            place = stop


def _run_end(row: list[Cell | None], start: int, cells: list[Cell], place: int, style: Style | None) -> int:
    """The end of a run of changed cells of one style, including small unchanged gaps."""
    stop = look = place + 1
    while look < len(cells) and cells[look][1] == style and look - stop <= GAP:
        look += 1
        if cells[look - 1][0] == "" or row[start + look - 1] != cells[look - 1]:
            stop = look
    return stop


def _spans(update: ChopsUpdate | LayoutUpdate) -> Iterator[Span]:
    if isinstance(update, LayoutUpdate):
        for y, strips in enumerate(update.strips, update.region.y):
            x = update.region.x
            for strip in strips:
                yield y, x, strip
                x += strip.cell_length
        return
    for y, span_start, span_end in update.spans:
        for end, (x, chop) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if chop is None or x >= span_end or end <= span_start:
                continue
            crop_start, crop_end = max(x, span_start), min(end, span_end)
            yield y, crop_start, chop.crop(crop_start - x, crop_end - x)


def _cells(segments: Iterable[Segment]) -> Iterator[Cell]:
    for text, style, control in segments:
        if control:
            continue
        if text.isascii():
            for character in text:
                yield character, style
            continue
        for character in text:
            yield character, style
            for _ in range(cell_len(character) - 1):
                yield "", style


@lru_cache(maxsize=4096)
def _set(style: Style | None, colors: ColorSystem | None) -> str:
    """The sequence that sets a style, whatever the current one is."""
    if style is None:
        return "\x1b[0m"
    prefix, mark, _ = style.render("\0", color_system=colors).partition("\0")
    assert mark
    return "\x1b[0m" if not prefix else prefix.replace("\x1b[", "\x1b[0;", 1)


def _written(runs: dict[Style | None, list[tuple[int, int, str]]], colors: ColorSystem | None) -> str:
    parts: list[str] = []
    for style, pieces in runs.items():
        parts.append(_set(style, colors))
        for y, x, text in pieces:
            parts.append(f"\x1b[{y + 1};{x + 1}H{text}")
    if parts:
        parts.append("\x1b[0m")
    return "".join(parts)
