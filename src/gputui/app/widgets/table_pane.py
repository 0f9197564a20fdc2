"""A pane with a header line, a table and its filter."""

from collections.abc import Sequence

from textual import getters, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from gputui.app.guarded import Guarded
from gputui.app.render.columns import Column, Row
from gputui.app.widgets.prompt import Prompt, focus_now
from gputui.app.widgets.row_table import RowTable


class TablePane(Guarded, Vertical):
    """Base class of table panes; each has its own columns and keys."""

    table = getters.query_one(RowTable)
    prompt = getters.query_one(Prompt)
    head = getters.query_one(".pane-head", Static)

    def __init__(self, columns: Sequence[Column], **options: str) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._columns = columns

    def compose(self) -> ComposeResult:
        """Header, table and prompt."""
        yield Static("", classes="pane-head", markup=False)
        yield RowTable(self._columns)
        yield Prompt()

    def show_rows(self, head: str, rows: Sequence[Row]) -> None:
        """Show new rows."""
        text = f" {head}"
        if self.table.filter_text:
            text += f"   only {self.table.filter_text}"
        if self.head.content != text:
            self.head.update(text, layout=False)
        self.table.show(rows)

    def leave(self) -> bool:
        """Clear the filter; returns whether there was one."""
        if not self.table.filter_text:
            return False
        self.table.set_filter("")
        return True

    @on(RowTable.FilterAsked)
    def _filter_asked(self, message: RowTable.FilterAsked) -> None:
        message.stop()
        self.prompt.ask("filter", self.table.filter_text)

    @on(Prompt.Typed)
    def _typed(self, message: Prompt.Typed) -> None:
        message.stop()
        self.table.set_filter(message.text)

    @on(Prompt.Done)
    def _typed_all(self, message: Prompt.Done) -> None:
        message.stop()
        if not message.accepted:
            self.table.set_filter("")
        focus_now(self.table)
