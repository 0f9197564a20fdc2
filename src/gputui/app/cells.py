"""Lines as runs of styled text, and which cells of a line changed."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size


@dataclass(frozen=True, slots=True)
class Run:
    """Text in one style; the style is a name that the widget looks up in the theme."""

    text: str
    style: str = "text"


Line = tuple[Run, ...]


def width_of(line: Sequence[Run]) -> int:
    """The cells that a line takes."""
    return sum(cell_len(run.text) for run in line)


def fit(line: Sequence[Run], width: int) -> Line:
    """The line cut or filled to exactly `width` cells."""
    fitted: list[Run] = []
    room = width
    for run in line:
        size = cell_len(run.text)
        if size > room:
            if room > 0:
                fitted.append(Run(set_cell_size(run.text, room), run.style))
            room = 0
            break
        fitted.append(run)
        room -= size
    if room:
        fitted.append(Run(" " * room))
    return tuple(fitted)


def _cells(line: Sequence[Run]) -> list[tuple[str, str]]:
    cells: list[tuple[str, str]] = []
    for run in line:
        for character in run.text:
            size = cell_len(character)
            if size == 0 and cells:
                cells[-1] = (cells[-1][0] + character, run.style)
            else:
                cells += [(character, run.style), *[("", run.style)] * (size - 1)]
    return cells


GAP = 4
"""Unchanged cells between two changes that are cheaper to write again than to jump over."""


def changed_spans(before: Sequence[Run], after: Sequence[Run]) -> list[tuple[int, int]]:
    """(start, end) of the runs of cells that differ, near ones joined."""
    if before == after:
        return []
    old, new = _cells(before), _cells(after)
    size = max(len(old), len(new))
    blank = (" ", "text")
    old += [blank] * (size - len(old))
    new += [blank] * (size - len(new))
    spans: list[tuple[int, int]] = []
    for place in range(size):
        if old[place] != new[place]:
            if spans and place - spans[-1][1] <= GAP:
                spans[-1] = (spans[-1][0], place + 1)
            else:
                spans.append((place, place + 1))
    return spans
