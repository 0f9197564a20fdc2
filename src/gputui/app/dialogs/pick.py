"""A dialog to choose several entries of a list."""

from collections.abc import Iterable, Sequence

from textual import getters
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static


class Pick(ModalScreen[frozenset[str] | None]):
    """Returns the selected entries, or None. The selection is shown by a sign, not by colour alone."""

    BINDINGS = [
        Binding("enter", "take", "take over", id="pick.take", priority=True),
        Binding("space", "turn", "choose", id="pick.turn", priority=True),
        Binding("escape,q", "dismiss(None)", "leave", id="pick.leave"),
        Binding("j", "move(1)", "down", show=False),
        Binding("k", "move(-1)", "up", show=False),
    ]

    option_list = getters.query_one(OptionList)

    def __init__(self, title: str, choices: Sequence[str], selected: Iterable[str]) -> None:
        super().__init__()
        self._title_text = title
        self._choices = choices
        self._selected = set(selected)

    def compose(self) -> ComposeResult:
        """The question and the choices."""
        with Vertical(classes="dialog"):
            yield Static(self._title_text, classes="dialog-title", markup=False)
            yield OptionList(*(self._line(name) for name in self._choices), compact=True, markup=False)
            yield Static(" space choose    enter take over    esc leave ", classes="dialog-keys", markup=False)

    def _line(self, name: str) -> str:
        return f"[{'x' if name in self._selected else ' '}] {name}"

    def action_turn(self) -> None:
        """Select or deselect the highlighted entry."""
        place = self.option_list.highlighted
        if place is not None:
            self._selected ^= {self._choices[place]}
            self.option_list.replace_option_prompt_at_index(place, self._line(self._choices[place]))

    def action_move(self, step: int) -> None:
        """Move the highlight up or down."""
        self.option_list.action_cursor_down() if step > 0 else self.option_list.action_cursor_up()

    def action_take(self) -> None:
        """Return the selection."""
        self.dismiss(frozenset(self._selected))
