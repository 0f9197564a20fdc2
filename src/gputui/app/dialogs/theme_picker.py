"""The theme picker, with live preview."""

from collections.abc import Sequence

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static


class Themes(ModalScreen[str | None]):
    """Returns the chosen theme; leaving restores the previous one."""

    BINDINGS = [
        Binding("escape,q", "leave", "leave", id="themes.leave"),
        Binding("j", "move(1)", "down", show=False),
        Binding("k", "move(-1)", "up", show=False),
    ]

    option_list = getters.query_one(OptionList)

    def __init__(self, names: Sequence[str], previous: str) -> None:
        super().__init__()
        self._names = names
        self._previous = previous

    def compose(self) -> ComposeResult:
        """The theme names at the side, so that the screen stays visible."""
        with Vertical(classes="dialog side-dialog"):
            yield Static("Theme", classes="dialog-title", markup=False)
            yield OptionList(*self._names, compact=True, markup=False)
            yield Static(" enter take    esc leave ", classes="dialog-keys", markup=False)

    def on_mount(self) -> None:
        """Highlight the current theme."""
        if self._previous in self._names:
            self.option_list.highlighted = self._names.index(self._previous)

    @on(OptionList.OptionHighlighted)
    def _preview(self, message: OptionList.OptionHighlighted) -> None:
        self.app.theme = str(message.option.prompt)

    @on(OptionList.OptionSelected)
    def _accept(self, message: OptionList.OptionSelected) -> None:
        self.dismiss(str(message.option.prompt))

    def action_move(self, step: int) -> None:
        """Move the highlight up or down."""
        self.option_list.action_cursor_down() if step > 0 else self.option_list.action_cursor_up()

    def action_leave(self) -> None:
        """Restore the previous theme."""
        self.app.theme = self._previous
        self.dismiss(None)
