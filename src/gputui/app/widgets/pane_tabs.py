"""The names of the panes; the shown one in brackets."""

from textual.content import Content
from textual.message import Message
from textual.widgets import Static


class PaneTabs(Static):
    """One line; a click on a name chooses it."""

    class Chosen(Message):
        """A name was clicked."""

        def __init__(self, pane: str) -> None:
            super().__init__()
            self.pane = pane

    def __init__(self, panes: tuple[str, ...]) -> None:
        super().__init__("", markup=False)
        self._panes = panes

    def on_mount(self) -> None:
        """The first pane is shown at first."""
        self.show(self._panes[0])

    def show(self, current: str) -> None:
        """Mark the shown one."""
        parts = []
        for pane in self._panes:
            name = "GPUs" if pane == "gpus" else pane.capitalize()
            text = (
                Content.styled(f"[{name}]", "bold $accent") if pane == current else Content.styled(f" {name} ", "dim")
            )
            parts.append(text.stylize(f"@click=choose('{pane}')"))
        hint = Content.styled("   tab other half · [ ] panes · esc back", "dim")
        self.update(Content(" ") + Content(" ").join(parts) + hint, layout=False)

    def action_choose(self, pane: str) -> None:
        """Tell which one was clicked."""
        self.post_message(self.Chosen(pane))
