"""Columns and rows of tables: which columns fit, and how rows are sorted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from rich.text import Text

ROOMY = 50
"""Spare cells needed before an extra column is shown by default."""
GAP = 2
"""Cells of padding around each column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column with its title and its width in cells. Where space is short, columns of the highest `rank` are dropped
    first; rank 0 always stays. A column that `grows` takes spare space, up to `widest`. An `extra` one is shown if
    chosen, or if there is plenty of space. `numeric` ones are right-aligned."""

    title: str
    width: int
    rank: int = 0
    grows: bool = False
    extra: bool = False
    numeric: bool = False
    widest: int | None = None


SortKey = float | str


@lru_cache(maxsize=4096)
def cell(text: str, style: str = "") -> Text:
    """The text of a cell. The same object is returned for the same text, so that unchanged cells compare at once;
    it must not be modified."""
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


@lru_cache(maxsize=4096)
def _to_the_right(text: str, style: str) -> Text:
    return Text(text, style=style, justify="right", no_wrap=True, overflow="ellipsis")


def placed(text: Text, column: Column) -> Text:
    """The text aligned for this column."""
    return _to_the_right(text.plain, str(text.style)) if column.numeric else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The cells of a row by column title, with sort keys where a column is not sorted by its text. Filters also match
    `search_text`."""

    key: str
    cells: Mapping[str, Text]
    sort: Mapping[str, SortKey | None] = field(default_factory=dict)
    search_text: str = ""

    @property
    def words(self) -> str:
        """The text that a filter matches."""
        return " ".join([*(cell.plain for cell in self.cells.values()), self.search_text])


def columns_for(columns: Sequence[Column], titles: frozenset[str] | None, width: int) -> tuple[Column, ...]:
    """The columns that fit, of the chosen titles (None: the default ones)."""
    visible = [
        column
        for column in columns
        if (not column.extra if titles is None else column.title in titles or column.rank == 0)
    ]

    def used_width() -> int:
        return sum(column.width + GAP for column in visible)

    while used_width() > width and any(column.rank for column in visible):
        visible.remove(max(visible, key=lambda column: column.rank))
    for extra in (
        []
        if titles is not None
        else sorted((column for column in columns if column.extra), key=lambda column: column.rank)
    ):
        if used_width() + extra.width + GAP + ROOMY <= width:
            visible = [column for column in columns if column in (*visible, extra)]
    spare = max(0, width - used_width())
    growing = [column for column in visible if column.grows]
    return tuple(_grown(column, spare // len(growing)) if column in growing else column for column in visible)


def _grown(column: Column, cells: int) -> Column:
    target = column.width + cells
    return replace(column, width=target if column.widest is None else min(target, column.widest))


def sorted_rows(rows: Sequence[Row], column: str | None, *, descending: bool) -> list[Row]:
    """The rows sorted by a column, those without a value last; unsorted if no column is given."""
    if column is None:
        return list(rows)

    def has_value(row: Row) -> bool:
        return row.sort.get(column, "") is not None

    def sort_key(row: Row) -> tuple[int, float, str]:
        value = row.sort.get(column, row.cells[column].plain.lower() if column in row.cells else "")
        return (0, value, "") if isinstance(value, (int, float)) else (1, 0.0, str(value))

    return [
        *sorted((row for row in rows if has_value(row)), key=sort_key, reverse=descending),
        *(row for row in rows if not has_value(row)),
    ]
