"""A text to read."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Log, Static

from gputui.app.screens.scrolled import TO_THE_ENDS, Scrolled


class ReadingScreen(Scrolled):
    """Scrolled with the usual keys."""

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
        """Only the lines that are seen are drawn: a kept log has ten thousand."""
        log = self.query_one(Log)
        log.auto_scroll = False
        log.write_lines(line or " " for line in self._text.splitlines())
