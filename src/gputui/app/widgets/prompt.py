"""Lines to type into: a filter, a search, a value."""

from textual.binding import Binding
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input


class TextField(Input):
    """One row high; its cursor does not blink, for over a slow line that is most of what would be sent."""

    def __init__(self, value: str = "", *, placeholder: str = "", id: str | None = None) -> None:
        super().__init__(value, placeholder=placeholder, id=id, compact=True)
        self.cursor_blink = False


def focus_now(widget: Widget) -> None:
    """The next key is its own.

    `Widget.focus` does it a moment later, and what somebody types fast after the key that asked for it would go to
    whatever had the keys before: the `a` of a filter would apply.
    """
    widget.screen.set_focus(widget)


class Prompt(TextField):
    """Hidden until it is asked for; `Typed` comes with every change, `Done` with enter or escape."""

    class Typed(Message):
        """Another text."""

        def __init__(self, purpose: str, text: str) -> None:
            super().__init__()
            self.purpose = purpose
            self.text = text

    class Done(Message):
        """It was left; `kept` where its text holds on."""

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
        """Show it for this purpose, with what was typed before."""
        self._purpose = purpose
        self.placeholder = purpose
        self.display = True
        with self.prevent(Input.Changed):
            self.value = text
        self.cursor_position = len(text)
        focus_now(self)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Tell the owner at once."""
        event.stop()
        self.post_message(self.Typed(self._purpose, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """It holds."""
        event.stop()
        self._leave(accepted=True)

    def action_leave(self) -> None:
        """It does not hold."""
        self._leave(accepted=False)

    def _leave(self, *, accepted: bool) -> None:
        self.display = False
        self.post_message(self.Done(self._purpose, self.value, accepted=accepted))
