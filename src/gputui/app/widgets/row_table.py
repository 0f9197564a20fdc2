"""A table of keyed rows with sorting, filtering and selectable columns."""

from collections.abc import Sequence

from rich.style import Style
from rich.text import Text
from textual import on
from textual.coordinate import Coordinate
from textual.message import Message
from textual.strip import Strip
from textual.widgets import DataTable

from gputui.app.config.keymap import ROWS
from gputui.app.dialogs.pick import Pick
from gputui.app.render.columns import Column, Row, cell, columns_for, placed, sorted_rows
from gputui.app.render.matching import filter_of
from gputui.app.terminal.textual_internals import Lines
from gputui.app.widgets.styled_table import StyledTable

MAX_CELLS = 2000
"""Maximum number of cached cells, about 3 MB."""
MAX_LINES = 200
"""Maximum number of cached lines: more than any terminal shows."""


class RowTable(StyledTable, inherit_bindings=False):
    """Cells are updated in place, so that cursor and scroll position stay. The owner handles enter."""

    BINDINGS = [*ROWS]

    class FilterAsked(Message):
        """The user wants to type a filter."""

        def __init__(self, table: "RowTable") -> None:
            super().__init__()
            self.table = table

    class ColumnsChosen(Message):
        """The user changed the columns or the sort order."""

        def __init__(self, table: "RowTable") -> None:
            super().__init__()
            self.table = table

    def __init__(self, columns: Sequence[Column], **options: str) -> None:
        super().__init__(cursor_type="row", **options)  # type: ignore[arg-type]
        self._all_columns = tuple(columns)
        self._fitting: tuple[Column, ...] = ()
        self._rows: tuple[Row, ...] = ()
        self._visible: dict[str, Row] = {}
        self.filter_text = ""
        self.chosen: frozenset[str] | None = None
        self.sort_column: str | None = None
        self.descending = False
        self._rendered: dict[tuple[object, ...], tuple[Text, Lines]] = {}
        self._lines: dict[int, tuple[tuple[object, ...], Row, Strip]] = {}

    def on_resize(self) -> None:
        """Fit the columns to the new width; fixed widths avoid measuring at every change."""
        self._lay_out()
        self.move_cursor(
            row=self.cursor_row, animate=False
        )  # a widget that appears below must not hide the selected row

    def _lay_out(self) -> None:
        columns = columns_for(self._all_columns, self.chosen, self.scrollable_content_region.width or self.size.width)
        titles = [(column, self._title(column)) for column in columns]
        if columns == self._fitting and [str(column.label) for column in self.ordered_columns] == [
            title for _, title in titles
        ]:
            return
        self._fitting = columns
        selected = self.selected_key
        self.clear(columns=True)
        self._visible = {}
        for column, title in titles:
            label = placed(cell(title), column)
            self.add_column(label, width=column.width, key=column.title)
        self.show(self._rows, selected)

    def _title(self, column: Column) -> str:
        if column.title != self.sort_column:
            return column.title
        return f"{column.title} {'▼' if self.descending else '▲'}"

    def show(self, rows: Sequence[Row], selected: str | None = None) -> None:
        """Update the table to these rows."""
        self._rows = tuple(rows)
        if not self._fitting:
            return
        passes = filter_of(self.filter_text)
        matches = [row for row in rows if not self.filter_text or passes(row.words)]
        visible_rows = {row.key: row for row in sorted_rows(matches, self.sort_column, descending=self.descending)}
        if list(visible_rows) != list(self._visible):
            self._rebuild(visible_rows, selected or self.selected_key)
            return
        changes = [
            (key, column)
            for key, row in visible_rows.items()
            if row is not self._visible[key]
            for column in self._fitting
            if _looks_different(row.cells[column.title], self._visible[key].cells[column.title])
        ]
        if changes:
            self.clear_render_caches()
        for key, column in changes:
            self.update_cell(key, column.title, placed(visible_rows[key].cells[column.title], column))
        self._visible = visible_rows

    def notify_style_update(self) -> None:
        """Drop cached lines when the colours change."""
        self.forget_rendered()
        super().notify_style_update()

    def forget_rendered(self) -> None:
        """Clear the caches."""
        self._rendered.clear()
        self._lines.clear()

    def render_table_line(self, y: int, x1: int, x2: int, base_style: Style) -> Strip:
        """Render a line, or reuse it if its row is unchanged."""
        index = y - self.header_height if self.show_header else y
        if not self.is_valid_row_index(index):
            return super().render_table_line(y, x1, x2, base_style)
        row = self._visible[str(self.coordinate_to_cell_key(Coordinate(index, 0)).row_key.value)]
        marks = (
            x1, x2, self.size.width, base_style, index == self.cursor_row, index == self.hover_row, self.show_cursor,
            *self.render_state,
        )  # fmt: skip
        cached = self._lines.get(index)
        if cached is None or cached[0] != marks or cached[1] is not row:
            if len(self._lines) >= MAX_LINES:
                self._lines.clear()
            cached = self._lines[index] = (marks, row, super().render_table_line(y, x1, x2, base_style))
        return cached[2]

    def render_table_cell(
        self, row_index: int, column_index: int, base_style: Style, width: int, cursor: bool, hover: bool
    ) -> Lines:
        """Render a cell, or reuse it if it is unchanged."""
        if row_index < 0 or column_index < 0:
            return super().render_table_cell(row_index, column_index, base_style, width, cursor, hover)
        cell = self.get_cell_at(Coordinate(row_index, column_index))
        state = (cursor, hover, self.show_cursor, *self.render_state)
        key = (row_index, column_index, base_style, width, state)
        rendered = self._rendered.get(key)
        if rendered is None or rendered[0] is not cell:
            if len(self._rendered) >= MAX_CELLS:
                self._rendered.clear()
            rendered = (cell, super().render_table_cell(row_index, column_index, base_style, width, cursor, hover))
            self._rendered[key] = rendered
        return rendered[1]

    def _rebuild(self, rows: dict[str, Row], selected: str | None) -> None:
        place = self.cursor_row
        scrolled = self.scroll_y
        self.clear()
        for key, row in rows.items():
            self.add_row(*(placed(row.cells[column.title], column) for column in self._fitting), key=key)
        self._visible = rows
        # At once: otherwise the row under the cursor in between would count as selected by the user.
        if selected is not None and selected in rows:
            place = list(rows).index(selected)
        if rows:
            self.scroll_to(y=scrolled, animate=False)
            self.move_cursor(row=min(place, len(rows) - 1), animate=False)

    @property
    def selected_key(self) -> str | None:
        """The key of the row under the cursor."""
        if not self.row_count or not self.is_valid_row_index(self.cursor_row):
            return None
        return self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value

    @property
    def shown_keys(self) -> tuple[str, ...]:
        """The keys of the visible rows."""
        return tuple(self._visible)

    def select(self, key: str) -> None:
        """Move the cursor to this row, if it is visible."""
        if key in self._visible:
            self.move_cursor(row=list(self._visible).index(key), animate=False)

    # --- keys -----------------------------------------------------------------------------------------------------

    def set_filter(self, text: str) -> None:
        """Show only matching rows."""
        self.filter_text = text
        self.show(self._rows)

    def action_filter(self) -> None:
        """Ask the owner for a filter prompt."""
        self.post_message(self.FilterAsked(self))

    def action_cursor_to(self, row: int) -> None:
        """Go to this row; -1 is the last one."""
        self.move_cursor(row=row if row >= 0 else self.row_count - 1, animate=False)

    def action_sort(self, step: int) -> None:
        """Sort by the next column in this direction; beyond the ends the rows are unsorted."""
        titles: list[str | None] = [None, *(column.title for column in self._fitting if column.title.strip())]
        place = titles.index(self.sort_column) if self.sort_column in titles else 0
        self.sort_by(titles[(place + step) % len(titles)], descending=False)

    def action_turn_around(self) -> None:
        """Reverse the sort order."""
        if self.sort_column is not None:
            self.sort_by(self.sort_column, descending=not self.descending)

    def sort_by(self, column: str | None, *, descending: bool) -> None:
        """Sort by this column."""
        self.sort_column, self.descending = column, descending
        self._lay_out()
        self.post_message(self.ColumnsChosen(self))

    @on(DataTable.HeaderSelected)
    def _header_clicked(self, event: DataTable.HeaderSelected) -> None:
        title = event.column_key.value
        self.sort_by(title, descending=title == self.sort_column and not self.descending)

    def action_columns(self) -> None:
        """Open the column dialog."""
        titles = (
            self.chosen
            if self.chosen is not None
            else frozenset(column.title for column in self._all_columns if not column.extra)
        )
        choices = [column.title for column in self._all_columns if column.rank]
        self.app.push_screen(Pick("Which columns?", choices, titles), self._choose)

    def _choose(self, titles: frozenset[str] | None) -> None:
        if titles is None:
            return
        self.chosen = titles
        self._lay_out()
        self.post_message(self.ColumnsChosen(self))


def _looks_different(cell: Text, previous: Text) -> bool:
    """Compare text and style; Rich ignores the base style when it compares texts."""
    return cell is not previous and (cell != previous or cell.style != previous.style)
