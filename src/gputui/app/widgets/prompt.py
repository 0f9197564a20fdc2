"""Input fields for filters, searches and values."""

from textual.binding import Binding
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input


class TextField(Input):
    """A one-row input. The cursor does not blink: over a slow connection that would be most of the traffic."""

    def __init__(self, value: str = "", *, placeholder: str = "", id: str | None = None) -> None:
        super().__init__(value, placeholder=placeholder, id=id, compact=True)
        self.cursor_blink = False


def focus_now(widget: Widget) -> None:
    """Focus a widget at once, so that it gets the next key.

    `Widget.focus` is deferred, and keys typed right after the one that opened the widget would go to the previously
    focused one: the `a` of a filter would apply.
    """
    widget.screen.set_focus(widget)


class Prompt(TextField):
    """An input that is hidden until used; posts `Typed` on every change, `Done` on enter or escape."""

    class Typed(Message):
        """The text changed."""

        def __init__(self, purpose: str, text: str) -> None:
            super().__init__()
            self.purpose = purpose
            self.text = text

    class Done(Message):
        """The prompt was left; `accepted` with enter."""

        def __init__(self, purpose: str, text: str, *, accepted: bool) -> None:
            super().__init__()
            self.purpose = purpose
            self.text = text
            self.accepted = accepted

    BINDINGS = [
        Binding("enter", "submit", "take", id="prompt.take"),
        Binding("escape", "leave", "leave", id="prompt.leave"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._purpose = ""
        self.display = False

    def ask(self, purpose: str, text: str) -> None:
        """Show the prompt for this purpose, with an initial text."""
        self._purpose = purpose
        self.placeholder = purpose
        self.display = True
        with self.prevent(Input.Changed):
            self.value = text
        self.cursor_position = len(text)
        focus_now(self)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Post every change."""
        event.stop()
        self.post_message(self.Typed(self._purpose, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Accept the text."""
        event.stop()
        self._leave(accepted=True)

    def action_leave(self) -> None:
        """Leave without accepting the text."""
        self._leave(accepted=False)

    def _leave(self, *, accepted: bool) -> None:
        self.display = False
        self.post_message(self.Done(self._purpose, self.value, accepted=accepted))
