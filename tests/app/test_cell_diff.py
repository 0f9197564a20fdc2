"""The terminal shows the same with and without the cell diff."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip

from gputui.app.terminal.cell_diff import CellGrid
from gputui.app.terminal.textual_internals import LayoutUpdate

WIDTH, HEIGHT = 24, 4
STYLES = [None, Style(color="red"), Style(color="#4fa8e0", bgcolor="#11151a"), Style(bold=True)]
TOKEN = re.compile(r"\x1b\[([0-9;]*)([Hm])|([^\x1b])")


class Screen:
    """A terminal that supports cursor moves, styles and text."""

    def __init__(self) -> None:
        self.cells: dict[tuple[int, int], tuple[str, str]] = {}
        self.written = 0

    def write(self, sequence: str) -> None:
        x = y = 0
        style = "0"
        self.written += len(sequence)
        assert TOKEN.sub("", sequence) == ""
        for numbers, kind, character in TOKEN.findall(sequence):
            if kind == "H":
                y, x = (int(part) - 1 for part in numbers.split(";"))
            elif kind == "m":
                style = numbers.removeprefix("0;") or "0"
            else:
                self.cells[y, x] = (character, style)
                for offset in range(1, cell_len(character)):
                    self.cells[y, x + offset] = ("", style)
                x += cell_len(character)


def line(pieces: list[tuple[str, int]]) -> Strip:
    text = Strip([Segment(words, STYLES[number]) for words, number in pieces])
    return text.crop_extend(0, WIDTH, None)


lines = st.lists(st.tuples(st.text("ab█░ 日", min_size=1, max_size=8), st.integers(0, 3)), min_size=1, max_size=4).map(
    line
)
frames = st.lists(st.lists(lines, min_size=HEIGHT, max_size=HEIGHT), min_size=1, max_size=5)


def update(frame: list[Strip]) -> LayoutUpdate:
    return LayoutUpdate([[strip] for strip in frame], Region(0, 0, WIDTH, HEIGHT))


def written(grid: CellGrid, frame: list[Strip]) -> str:
    return grid.differences(update(frame), WIDTH, ColorSystem.TRUECOLOR).render_segments(Console())


@given(frames)
def test_any_sequence_of_frames_looks_as_if_each_were_drawn_whole(drawings: list[list[Strip]]) -> None:
    incremental, grid = Screen(), CellGrid()
    for frame in drawings:
        incremental.write(written(grid, frame))
        complete = Screen()
        complete.write(written(CellGrid(), frame))
        assert incremental.cells == complete.cells


def test_what_did_not_change_is_not_written() -> None:
    grid: Any = CellGrid()
    frame = [line([("hello", 1)])] * HEIGHT
    assert written(grid, frame)
    assert written(grid, frame) == ""
    next_frame = [line([("hallo", 1)]), *frame[1:]]
    assert written(grid, next_frame) == "\x1b[0;31m\x1b[1;2Ha\x1b[0m"
    grid.forget()
    assert "hallo" in written(grid, next_frame)
