"""The tables below the cards."""

from dataclasses import replace
from typing import Any

import pytest
from rich.text import Text
from textual.widgets import DataTable

from gputui.app.render.columns import Row
from gputui.app.widgets import row_table
from gputui.app.widgets.row_table import RowTable
from gputui.controller.local_controller import LocalController
from tests.app.conftest import app_of, screen_text
from tests.app.piloting import SIZE


def changed(row: Row, text: str) -> Row:
    return replace(row, cells={title: Text(text) for title in row.cells})


async def test_values_that_move_for_long_take_no_more_memory(
    controller: LocalController, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_table, "MAX_CELLS", 50)
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        table = app.screen.query("ServiceTable").only_one(RowTable)
        rows = table._rows
        cells = (len(rows) + 1) * len(table.columns)
        for number in range(20):
            table.show([changed(row, str(number)) for row in rows])
            await pilot.pause()
        assert len(table._cell_render_cache) <= 3 * cells
        assert len(table._rendered) <= 50


async def test_of_a_row_that_changes_only_the_changed_cell_is_rendered_again(
    controller: LocalController, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        table = app.screen.query("ServiceTable").only_one(RowTable)
        monkeypatch.setattr(table, "show_services", lambda _snapshot: None)  # no updates except those of this test
        first_row, *other_rows = table._rows
        await pilot.pause(0.2)
        rendered: list[tuple[int, int]] = []
        real = DataTable._render_cell

        def noted(self: DataTable[Text], row: int, column: int, *options: Any) -> Any:
            if row >= 0:
                rendered.append((row, column))
            return real(self, row, column, *options)

        monkeypatch.setattr(DataTable, "_render_cell", noted)
        table.show([replace(first_row, cells={**first_row.cells, "STATE": Text("another state")}), *other_rows])
        await pilot.pause(0.2)
        assert rendered == [(0, list(table.columns).index("STATE"))]  # type: ignore[arg-type]
        assert "another state" in screen_text(app)


async def test_other_colours_reach_every_cell(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        table = app.screen.query("ServiceTable").only_one(RowTable)

        def backgrounds() -> list[set[str]]:
            lines = [table.render_line(y) for y in range(1, len(table._rows) + 1)]
            return [{str(part.style.bgcolor) for part in line if part.style and part.text.strip()} for line in lines]

        await pilot.pause()
        old_colours = backgrounds()
        app.theme = "gputui-light"
        await pilot.pause()
        assert all(not old & new for old, new in zip(old_colours, backgrounds(), strict=True))


@pytest.mark.parametrize("keys", [("j",), ("tab",), (">",), ("j", "tab", "k"), ("space",), ("A",), ("G",)])
async def test_lines_that_were_kept_are_as_they_would_be_rendered_anew(
    controller: LocalController, keys: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        table = app.screen.query("ServiceTable").only_one(RowTable)
        monkeypatch.setattr(table, "show_services", lambda _snapshot: None)

        def lines() -> list[list[tuple[str, str]]]:
            return [[(part.text, str(part.style)) for part in table.render_line(y)] for y in range(table.size.height)]

        await pilot.pause(0.2)
        lines()
        await pilot.press(*keys)
        await pilot.pause(0.2)
        cached_lines = lines()
        table._clear_caches()
        assert cached_lines == lines()
