"""A text to read."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Log, Static


class ReadingScreen(ModalScreen[None]):
    """Scrolled with the usual keys."""

    BINDINGS = [
        Binding("escape,q,enter", "dismiss(None)", "back", id="reading.back"),
        Binding("j,down", "scroll(1)", "down", show=False),
        Binding("k,up", "scroll(-1)", "up", show=False),
        Binding("pagedown,space", "scroll(15)", "page down", show=False),
        Binding("pageup", "scroll(-15)", "page up", show=False),
        Binding("g,home", "scroll(-1000000)", "first", show=False),
        Binding("G,end", "scroll(1000000)", "last", show=False),
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
            yield Static(" j k scroll    esc back ", classes="dialog-keys", markup=False)

    def on_mount(self) -> None:
        """Only the lines that are seen are drawn: a kept log has ten thousand."""
        log = self.query_one(Log)
        log.auto_scroll = False
        log.write_lines(self._text.splitlines())

    def action_scroll(self, rows: int) -> None:
        """So many rows."""
        self.query_one(Log).scroll_relative(y=rows, animate=False)
