"""All keys, from the real bindings."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

INTRODUCTION = """\
The cards show each GPU: its memory by holder (█ services, ▓ other people, ▒ what your draft adds, ▚ what it frees),
how busy it is, its power. The table shows which service has which GPUs. Press digits to move the selected service,
read the warning, look at the plan (p), apply it (a). Nothing is lost: the old container is kept until the new one
runs on its GPUs, and comes back if it does not.
"""


class Help(ModalScreen[None]):
    """Closed by any of its keys."""

    BINDINGS = [Binding("escape,q,question_mark", "close", "close", id="help.close")]

    def __init__(self, bindings: Sequence[Binding]) -> None:
        super().__init__()
        self._keys_shown = bindings

    def compose(self) -> ComposeResult:
        """The keys with what they do."""
        lines = [INTRODUCTION]
        for binding in self._keys_shown:
            if binding.id and binding.id.startswith("gpu.toggle.") and binding.id != "gpu.toggle.0":
                continue
            keys = binding.key_display or binding.key
            for long, short in (
                ("question_mark", "?"),
                ("slash", "/"),
                ("right_square_bracket", "]"),
                ("left_square_bracket", "["),
            ):
                keys = keys.replace(long, short)
            lines.append(f"  {keys:8} {binding.tooltip or binding.description}")
        with VerticalScroll(classes="dialog"):
            yield Static("Keys", classes="dialog-title", markup=False)
            yield Static("\n".join(lines), markup=False)

    def action_close(self) -> None:
        """Back to where one was."""
        self.dismiss(None)
