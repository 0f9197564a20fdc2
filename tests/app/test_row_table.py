"""The tables under the cards."""

from dataclasses import replace

from rich.text import Text

from gputui.app.columns import Row
from gputui.app.widgets.row_table import RowTable
from gputui.control.local import LocalControlRoom
from tests.app.conftest import app_of
from tests.app.piloting import SIZE


def changed(row: Row, text: str) -> Row:
    return replace(row, cells={title: Text(text) for title in row.cells})


async def test_values_that_move_for_long_take_no_more_memory(room: LocalControlRoom) -> None:
    app = app_of(room)
    async with app.run_test(size=SIZE) as pilot:
        table = app.screen.query("ServiceTable").only_one(RowTable)
        rows = table._rows
        cells = (len(rows) + 1) * len(table.columns)
        for number in range(20):
            table.show([changed(row, str(number)) for row in rows])
            await pilot.pause()
        assert len(table._cell_render_cache) <= 3 * cells
