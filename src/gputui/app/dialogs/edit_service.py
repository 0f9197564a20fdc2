"""Choosing a service's GPUs, its VRAM budget and its priority."""

from collections.abc import Callable, Sequence

from rich.text import Text
from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import DataTable, Input, Static

from gputui.app.render.values import short_name
from gputui.app.widgets.prompt import TextField, focus_now
from gputui.app.widgets.styled_table import StyledTable
from gputui.domain.gpu import labels_by_uuid, out_of_runs
from gputui.domain.memory import GpuHeadroom
from gputui.domain.service import Service, TypedEdit
from gputui.domain.snapshot import Snapshot
from gputui.domain.text import whole_number
from gputui.domain.units import gib


class EditService(ModalScreen[TypedEdit | None]):
    """A list of GPUs to choose from, and the same as text: `0,2`, UUIDs, `auto`, `all` or `none`.

    What is wrong is told here, so that nothing typed is lost; `fault_of` finds it. For several services the fields are
    empty, which leaves each as it is.
    """

    BINDINGS = [
        Binding("escape", "dismiss(None)", "cancel", id="edit.cancel"),
        Binding("down", "list", "list of GPUs", show=False),
    ]

    listed = getters.query_one("#headroom", StyledTable)
    typed = getters.query_one("#gpus", Input)

    def __init__(
        self,
        services: Sequence[Service],
        snapshot: Snapshot,
        headroom: Sequence[GpuHeadroom],
        fault_of: Callable[[TypedEdit], str],
    ) -> None:
        super().__init__()
        self._fault_of = fault_of
        first = services[0] if len(services) == 1 else None
        self._labels = labels = labels_by_uuid(snapshot.inventory.gpus)
        gpus = ",".join(labels.get(uuid, uuid) for uuid in first.assigned) if first else ""
        budget = "" if first is None or first.budget_mib is None else f"{first.budget_mib}MiB"
        priority = "" if first is None or first.priority_set is None else str(first.priority_set)
        self._before = {"gpus": gpus, "budget": budget, "priority": priority}
        self._services = services
        self._snapshot = snapshot
        self._headroom = headroom

    def compose(self) -> ComposeResult:
        """What each GPU has left, and the fields."""
        first = self._services[0]
        before = self._before
        need = first.requirement
        amount = f"needs {gib(need.claim_mib)} GiB on each GPU ({need.source})"
        empty = "none" if len(self._services) == 1 else "each as it is"
        title = f"{first.name}: {amount}" if len(self._services) == 1 else f"{len(self._services)} services at once"
        with Vertical(classes="dialog wide-dialog fitting-dialog"):
            yield Static(title, classes="dialog-title", markup=False)
            yield StyledTable(id="headroom", cursor_type="row")
            yield Static("GPUs in order (0,2 · 4-7 · 4:1 · all · auto · none)", markup=False)
            yield TextField(before["gpus"], id="gpus", placeholder=empty)
            with Horizontal(classes="fields"):
                with Vertical():
                    yield Static("VRAM budget (3.5GiB · none)", markup=False)
                    yield TextField(before["budget"], id="budget", placeholder=empty)
                with Vertical():
                    yield Static("priority (a number · none)", markup=False)
                    yield TextField(before["priority"], id="priority", placeholder=empty)
            yield Static("", id="edit-problem", classes="problem", markup=False)
            keys = " ↓ list   space choose   enter take over   tab next field   esc cancel "
            yield Static(keys, classes="dialog-keys", markup=False)

    def on_mount(self) -> None:
        """The list, with the cursor in the text."""
        for title, width in (("", 1), ("GPU", 4), ("NAME", 16), ("LEFT WITH IT", 12), ("NOW FREE", 9), ("", 12)):
            numeric = title in ("LEFT WITH IT", "NOW FREE")
            self.listed.add_column(Text(title, justify="right" if numeric else "left"), width=width)
        self._list()
        focus_now(self.typed)

    def _list(self) -> None:
        place = self.listed.cursor_row
        self.listed.clear()
        chosen = self._chosen()
        readings = {one.gpu.uuid: one for one in self._snapshot.readings}
        for gpu in self._headroom:
            reading = readings.get(gpu.uuid)
            if reading is None:
                continue  # it came after the snapshot that this dialog shows
            label = reading.gpu.label
            order = f"{chosen.index(label) + 1}" if label in chosen else ""
            left, free = (
                "n/a" if one is None else f"{gib(one)} GiB" for one in (gpu.left_mib, reading.memory_free_mib)
            )
            word = gpu.state.upper() if gpu.state != "ok" else "fits" if gpu.fits else "does not fit"
            style = "" if gpu.fits else "dim" if gpu.fits is None else "error"
            self.listed.add_row(
                Text(order, style="bold"), Text(label), Text(short_name(reading.gpu.name)),
                Text(left, style=style, justify="right"), Text(free, justify="right"),
                Text("" if gpu.fits is None and gpu.state == "ok" else word, style=style), key=gpu.uuid,
            )  # fmt: skip
        self.listed.move_cursor(row=place, animate=False)

    def _chosen(self) -> list[str]:
        text = self.typed.value.strip().lower()
        if text == "all":
            return [self._labels[one.uuid] for one in self._headroom]
        return [name for name in out_of_runs(text) if name]

    @on(Input.Changed, "#gpus")
    def _typed_otherwise(self) -> None:
        self._list()

    def action_list(self) -> None:
        """From the text to the list."""
        focus_now(self.listed)

    def on_key(self, event: Key) -> None:
        """In the list: space and digits choose."""
        if not self.listed.has_focus:
            return
        label = None
        if event.key == "space" and self.listed.row_count:
            uuid = self.listed.coordinate_to_cell_key(self.listed.cursor_coordinate).row_key.value
            label = self._labels.get(uuid or "")
        elif whole_number(event.character) is not None:
            label = event.character if event.character in self._labels.values() else None
        elif event.key in ("j", "k"):
            self.listed.action_cursor_down() if event.key == "j" else self.listed.action_cursor_up()
            event.stop()
        if label is not None:
            event.stop()
            chosen = [one for one in self._chosen() if one not in ("none", "auto")]
            chosen = [one for one in chosen if one != label] if label in chosen else [*chosen, label]
            self.typed.value = ",".join(chosen)

    @on(DataTable.RowSelected)
    @on(Input.Submitted)
    def _done(self) -> None:
        values = {name: self.query_one(f"#{name}", Input).value for name in self._before}
        several = len(self._services) > 1
        changed = {
            name: None if value.strip() == self._before[name] else value or "none" for name, value in values.items()
        }
        if several:
            changed = {name: value if values[name].strip() else None for name, value in changed.items()}
        typed = TypedEdit(**changed)
        fault = self._fault_of(typed) if typed != TypedEdit() else ""
        if fault:
            self.query_one("#edit-problem", Static).update(f" ✗ {fault}")
            return
        self.dismiss(typed if typed != TypedEdit() else None)
