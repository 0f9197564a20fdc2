"""A question with several answers, each with its key."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Static


class Choose(ModalScreen[str | None]):
    """Answers with the key that was pressed; `esc` answers with nothing."""

    BINDINGS = [Binding("escape,q", "dismiss(None)", "later", id="choose.later")]

    def __init__(self, question: str, details: str, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._question = question
        self._details = details
        self._choices = choices

    def compose(self) -> ComposeResult:
        """The question, what it is about, and the answers."""
        with Vertical(classes="dialog"):
            yield Static(self._question, classes="dialog-title", markup=False)
            if self._details:
                yield Static(self._details, markup=False)
            keys = "    ".join(f"{key} {text}" for key, text in (*self._choices, ("esc", "later")))
            yield Static(f" {keys} ", classes="dialog-keys", markup=False)

    def on_key(self, event: Key) -> None:
        """One of the answers."""
        if event.character in {key for key, _ in self._choices}:
            event.stop()
            self.dismiss(event.character)
