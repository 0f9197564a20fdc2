"""The names of the panes, the current one in brackets."""

from textual.content import Content
from textual.message import Message
from textual.widgets import Static

HINTS = ("tab other half", "[ ] panes", "esc back")


class PaneTabs(Static):
    """The tab line; a click on a name opens its pane."""

    class Chosen(Message):
        """A name was clicked."""

        def __init__(self, pane: str) -> None:
            super().__init__()
            self.pane = pane

    def __init__(self, panes: tuple[str, ...]) -> None:
        super().__init__("", markup=False)
        self._panes = panes
        self._current = panes[0]

    def on_mount(self) -> None:
        """Start with the first pane."""
        self.show(self._current)

    def show(self, current: str) -> None:
        """Mark the current pane."""
        parts = []
        for pane in self._panes:
            name = "GPUs" if pane == "gpus" else pane.capitalize()
            text = (
                Content.styled(f"[{name}]", "bold $accent") if pane == current else Content.styled(f" {name} ", "dim")
            )
            parts.append(text.stylize(f"@click=choose('{pane}')"))
        tabs = Content(" ") + Content(" ").join(parts)
        self._current = current
        self.update(tabs + Content.styled(self._hint(self.size.width - tabs.cell_length), "dim"), layout=False)

    def on_resize(self) -> None:
        """Fit the hint to the new width."""
        self.show(self._current)

    @staticmethod
    def _hint(max_width: int) -> str:
        """As many key hints as fit."""
        hint_groups = [HINTS[: len(HINTS) - dropped] for dropped in range(len(HINTS))]
        texts = ("   " + " · ".join(hints) for hints in hint_groups)
        return next((text for text in texts if len(text) <= max_width), "")

    def action_choose(self, pane: str) -> None:
        """Post the clicked name."""
        self.post_message(self.Chosen(pane))
