"""A dialog whose text is scrolled with the usual keys."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widget import Widget

TO_THE_ENDS = (
    Binding("g,home", "scroll(-1000000)", "first", show=False),
    Binding("G,end", "scroll(1000000)", "last", show=False),
)


class Scrolled(ModalScreen[None]):
    """What its kinds have in common; each says what of it is scrolled."""

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
        """So many rows."""
        self.query_one(self.SCROLLED).scroll_relative(y=rows, animate=False)

    def action_aside(self, columns: int) -> None:
        """So many columns, where lines are longer than the dialog."""
        self.query_one(self.SCROLLED).scroll_relative(x=columns, animate=False)
