"""All active keys, from the actual bindings."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from gputui.app.config.keymap import CONTEXTS, PLACE, is_one_of_digits
from gputui.app.dialogs.scrolled_text import TO_THE_ENDS, Scrolled
from gputui.app.terminal.textual_internals import keymap_of

INTRODUCTION = """\
The cards show each GPU: its memory by holder (█ services, ▒ what they have still to take or your draft adds, ▓ other \
people, ▚ what your draft frees), how busy it was in the last ten minutes, its power. The table shows which service \
has which GPUs: asked for → assigned, and ON where it is seen. Press digits to move the selected service, read the \
warning, look at the plan, apply it. Nothing is lost: the old container is kept until the new one runs on its GPUs, \
and comes back if it does not.

found: a container runs with GPUs that gputui was not told of; the first change asks whether it may be changed.

drift: a container does not have the GPUs it was asked for; restarting it gives them to it again. `gputui doctor` \
looks at all that a container's GPU depends on: the driver, the engine, and the way (nvidia, cdi, runtime) in which \
it gives GPUs.

MIG instances are GPUs of their own, 1:0 and 1:1, one to a service; a GPU that is cut into them is given to nobody.\
"""

KEY_WIDTH = 11

ORDER = {identity: number for number, identity in enumerate(PLACE)}


def groups(screen: Screen[Any]) -> Mapping[str, list[tuple[str, Binding]]]:
    """The active keys of this screen, remapped ones included, by context."""
    sections: dict[str, list[tuple[str, Binding]]] = {}
    keys: dict[str, list[str]] = {}
    bindings: dict[str, Binding] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if binding.id is None or binding.id not in PLACE:
            continue
        keys.setdefault(binding.id, []).append(screen.app.get_key_display(binding))
        bindings.setdefault(binding.id, binding)
    for identity in sorted(keys, key=lambda binding_id: ORDER[binding_id]):
        binding = bindings[identity]
        if _is_covered_by_first(identity):
            continue
        display = binding.key_display or " ".join(dict.fromkeys(keys[identity]))
        sections.setdefault(PLACE[identity], []).append((display, binding))
    parts = [name for name in sections if name != "everywhere"]
    active_sections = {name: sections[name] for name in (*parts, *(["everywhere"] if "everywhere" in sections else []))}
    inactive_sections = {
        f"{name} (when they have the keys)": _of(name, screen) for name in CONTEXTS if name not in sections
    }
    return {**active_sections, **inactive_sections}


def _is_covered_by_first(identity: str) -> bool:
    return is_one_of_digits(identity) and not identity.endswith(".0")


def _of(name: str, screen: Screen[Any]) -> list[tuple[str, Binding]]:
    """The keys of a context that does not have the focus, remapped ones included."""
    keymap = keymap_of(screen.app)
    rows = []
    for binding in CONTEXTS[name]:
        identity = binding.id or ""
        if _is_covered_by_first(identity):
            continue
        keys = keymap.get(identity, binding.key).split(",")
        display = " ".join(screen.app.get_key_display(binding.with_key(key.strip())) for key in keys)
        rows.append((binding.key_display or display, binding))
    return rows


class Help(Scrolled):
    """The help dialog."""

    SCROLLED = VerticalScroll
    BINDINGS = [
        Binding("escape,q,question_mark", "dismiss(None)", "close", id="help.close"),
        *TO_THE_ENDS,
    ]

    def __init__(self, keys: Mapping[str, Iterable[tuple[str, Binding]]]) -> None:
        super().__init__()
        self._keys_shown = keys

    def compose(self) -> ComposeResult:
        """The introduction, and the keys with their descriptions and ids."""
        with Vertical(classes="dialog wide-dialog"):
            yield Static("Help", classes="dialog-title", markup=False)
            with VerticalScroll(classes="reading"):
                yield Static(INTRODUCTION + "\n", markup=False)
                for name, bindings in self._keys_shown.items():
                    yield Static(Content.styled(f"Keys: {name}", "bold"))
                    yield Static(_table(bindings), classes="key-table")
                yield Static(Content.styled("Other keys: `keys:` in the settings, by the ids on the right.", "dim"))
            yield Static(" j k scroll    esc close ", classes="dialog-keys", markup=False)


def _table(bindings: Iterable[tuple[str, Binding]]) -> Table:
    """A table of keys, descriptions and ids."""
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(min_width=KEY_WIDTH)
    table.add_column(ratio=1)
    table.add_column(style="dim", no_wrap=True)
    for key, binding in bindings:
        table.add_row(Text(f"  {key}"), Text(binding.tooltip or binding.description), Text(binding.id or ""))
    return table
