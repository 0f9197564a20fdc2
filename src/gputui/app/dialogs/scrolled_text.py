"""Dialogs with text that scrolls by the usual keys."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Log, Static

TO_THE_ENDS = (
    Binding("g,home", "scroll(-1000000)", "first", show=False),
    Binding("G,end", "scroll(1000000)", "last", show=False),
)


class Scrolled(ModalScreen[None]):
    """A dialog with one scrolling widget, of the type `SCROLLED`."""

    SCROLLED: ClassVar[type[Widget]]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll(1)", "down", show=False),
        Binding("k,up", "scroll(-1)", "up", show=False),
        Binding("pagedown,space", "scroll(15)", "page down", show=False),
        Binding("pageup", "scroll(-15)", "page up", show=False),
        Binding("right", "aside(8)", "to the right", show=False),
        Binding("left", "aside(-8)", "to the left", show=False),
    ]

    def action_scroll(self, rows: int) -> None:
        """Scroll by n rows."""
        self.query_one(self.SCROLLED).scroll_relative(y=rows, animate=False)

    def action_aside(self, columns: int) -> None:
        """Scroll by n columns."""
        self.query_one(self.SCROLLED).scroll_relative(x=columns, animate=False)


class ReadingScreen(Scrolled):
    """A long text."""

    SCROLLED = Log
    BINDINGS = [
        Binding("escape,q,enter", "dismiss(None)", "back", id="reading.back"),
        *TO_THE_ENDS,
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title_text = title
        self._text = text

    def compose(self) -> ComposeResult:
        """The title and the text."""
        with Vertical(classes="dialog wide-dialog"):
            yield Static(self._title_text, classes="dialog-title", markup=False)
            yield Log(classes="reading", highlight=False)
            yield Static(" j k ← → scroll    esc back ", classes="dialog-keys", markup=False)

    def on_mount(self) -> None:
        """Fill the log widget, which renders visible lines only: a saved log has ten thousand."""
        log = self.query_one(Log)
        log.auto_scroll = False
        log.write_lines(line or " " for line in self._text.splitlines())
