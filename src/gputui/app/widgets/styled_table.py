"""A table whose cells are styled by what they mean."""

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.coordinate import Coordinate
from textual.widgets import DataTable

Lines = list[list[Segment]]

MEANINGS = ("warning", "error", "accent")
"""Styles that a cell may have besides Rich's own; their colours are the theme's."""
PLAIN_WEIGHT = Style(dim=False)


class StyledTable(DataTable[Text]):
    """In the row under the cursor nothing is dim and nothing has a colour: its background would swallow that."""

    COMPONENT_CLASSES = {f"cell--{name}" for name in MEANINGS}
    DEFAULT_CSS = """
    StyledTable {
        & > .cell--warning { color: $warning; }
        & > .cell--error { color: $error; }
        & > .cell--accent { color: $accent; }
    }
    """

    def _render_cell(
        self,
        row_index: int,
        column_index: int,
        base_style: Style,
        width: int,
        cursor: bool = False,
        hover: bool = False,
    ) -> Lines:
        lines = super()._render_cell(row_index, column_index, base_style, width, cursor, hover)
        if row_index < 0 or column_index < 0:
            return lines
        if cursor and self.show_cursor:
            return _restyled(lines, PLAIN_WEIGHT)
        meaning = str(self.get_cell_at(Coordinate(row_index, column_index)).style)
        if meaning not in MEANINGS:
            return lines
        style = self.get_component_rich_style(f"cell--{meaning}", partial=True)
        return _restyled(lines, style + Style(bold=True))


def _restyled(lines: Lines, style: Style) -> Lines:
    return [[Segment(segment.text, (segment.style or Style.null()) + style) for segment in line] for line in lines]
