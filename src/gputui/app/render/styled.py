"""Lines as runs of styled text, and the style of a severity."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size


@dataclass(frozen=True, slots=True)
class Run:
    """Text in one style; `style` is a name that the widget looks up in the theme."""

    text: str
    style: str = "text"


Line = tuple[Run, ...]


def width_of(line: Sequence[Run]) -> int:
    """The width of a line in cells."""
    return sum(cell_len(run.text) for run in line)


def fit(line: Sequence[Run], width: int) -> Line:
    """The line padded to exactly `width` cells, or truncated with an ellipsis."""
    fitted: list[Run] = []
    remaining = width
    for run in line:
        size = cell_len(run.text)
        if size > remaining:
            if remaining > 0:
                fitted.append(Run(set_cell_size(run.text, remaining - 1) + "…", run.style))
            remaining = 0
            break
        fitted.append(run)
        remaining -= size
    if remaining:
        fitted.append(Run(" " * remaining))
    return tuple(fitted)


CELLS = {"refusal": "error", "error": "error", "warning": "warning", "info": ""}
"""The style of a cell in a table."""
RUNS = {"refusal": "lost", "error": "lost", "warning": "finding", "info": "dim"}
"""The style of a run in a line."""
