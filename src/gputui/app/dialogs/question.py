"""Dialogs that ask a question: yes or no, or one of several answers."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Static


class Choose(ModalScreen[str | None]):
    """Returns the pressed key, or None for `esc`. Long details scroll."""

    BINDINGS = [
        Binding("escape,q", "dismiss(None)", "cancel", id="choose.cancel"),
        Binding("down", "scroll(1)", "down", show=False),
        Binding("up", "scroll(-1)", "up", show=False),
        Binding("pagedown,space", "scroll(12)", "page down", show=False),
        Binding("pageup", "scroll(-12)", "page up", show=False),
    ]

    def __init__(self, question: str, details: str | Content, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._question = question
        self._details = details
        self._choices = choices

    def compose(self) -> ComposeResult:
        """The question, its details, and the answers."""
        with Vertical(classes="dialog question"):
            yield Static(self._question, classes="dialog-title", markup=False)
            with VerticalScroll(classes="choose-details", can_focus=False):
                yield Static(self._details, markup=False)
            yield Static(classes="dialog-keys", markup=False)

    def on_mount(self) -> None:
        """Show the keys, and those for scrolling if the details do not fit."""
        self._show_keys()
        self.call_after_refresh(self._show_keys)

    def on_resize(self) -> None:
        """The details may no longer fit."""
        self.call_after_refresh(self._show_keys)

    def _show_keys(self) -> None:
        scroll_hint = [("↑↓", "more")] if self.query_one(VerticalScroll).max_scroll_y > 0 else []
        keys = "    ".join(f"{key} {text}" for key, text in (*self._choices, ("esc", "cancel"), *scroll_hint))
        self.query_one(".dialog-keys", Static).update(f" {keys} ")

    def action_scroll(self, rows: int) -> None:
        """Scroll by n rows."""
        self.query_one(VerticalScroll).scroll_relative(y=rows, animate=False)

    def on_key(self, event: Key) -> None:
        """Answer with the pressed key."""
        if event.character in {key for key, _ in self._choices}:
            event.stop()
            self.dismiss(event.character)


class Confirm(ModalScreen[bool]):
    """Returns True for yes, False otherwise."""

    BINDINGS = [
        Binding("y", "answer(True)", "yes", id="confirm.yes"),
        Binding("n,escape,q", "answer(False)", "no", id="confirm.no"),
    ]

    def __init__(self, question: str, details: str | Content = "", yes: str = "yes") -> None:
        super().__init__()
        self._question = question
        self._details = details
        self._yes = yes

    def compose(self) -> ComposeResult:
        """The question, its details, and the keys."""
        with Vertical(classes="dialog"):
            yield Static(self._question, classes="dialog-title", markup=False)
            if self._details:
                yield Static(self._details, markup=False)
            yield Static(f" y {self._yes}    n no ", classes="dialog-keys", markup=False)

    def action_answer(self, answer: bool) -> None:
        """Close with the answer."""
        self.dismiss(answer)
