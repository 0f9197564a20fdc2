"""A table with semantic cell styles."""

from rich.segment import Segment
from rich.style import Style
from textual.coordinate import Coordinate

from gputui.app.terminal.textual_internals import Lines, TableInternals

MEANINGS = ("warning", "error", "accent")
"""Cell styles in addition to Rich's; their colours come from the theme."""
PLAIN_WEIGHT = Style(dim=False)


class StyledTable(TableInternals):
    """Cells under the cursor are neither dim nor coloured: they would be hard to read on its background."""

    COMPONENT_CLASSES = {f"cell--{name}" for name in MEANINGS}
    DEFAULT_CSS = """
    StyledTable {
        & > .cell--warning { color: $warning; }
        & > .cell--error { color: $error; }
        & > .cell--accent { color: $accent; }
    }
    """

    def render_table_cell(
        self, row_index: int, column_index: int, base_style: Style, width: int, cursor: bool, hover: bool
    ) -> Lines:
        """Render a cell in its style."""
        lines = super().render_table_cell(row_index, column_index, base_style, width, cursor, hover)
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
