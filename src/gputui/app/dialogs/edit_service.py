"""The dialog for a service's GPUs, VRAM budget and priority."""

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

    Errors, found by `fault_of`, are shown in the dialog, so that no input is lost. For several services the fields are
    empty; an empty field changes nothing.
    """

    BINDINGS = [
        Binding("escape", "dismiss(None)", "cancel", id="edit.cancel"),
        Binding("down", "list", "list of GPUs", show=False),
    ]

    gpu_table = getters.query_one("#headroom", StyledTable)
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
        service = services[0] if len(services) == 1 else None
        self._labels = labels = labels_by_uuid(snapshot.inventory.gpus)
        gpus = ",".join(labels.get(uuid, uuid) for uuid in service.assigned) if service else ""
        budget = "" if service is None or service.budget_mib is None else f"{service.budget_mib}MiB"
        priority = "" if service is None or service.priority_set is None else str(service.priority_set)
        self._initial = {"gpus": gpus, "budget": budget, "priority": priority}
        self._services = services
        self._snapshot = snapshot
        self._headroom = headroom

    def compose(self) -> ComposeResult:
        """The headroom of each GPU, and the input fields."""
        service = self._services[0]
        initial = self._initial
        need = service.requirement
        amount = f"needs {gib(need.claim_mib)} GiB on each GPU ({need.source})"
        empty = "none" if len(self._services) == 1 else "each as it is"
        title = f"{service.name}: {amount}" if len(self._services) == 1 else f"{len(self._services)} services at once"
        with Vertical(classes="dialog wide-dialog fitting-dialog"):
            yield Static(title, classes="dialog-title", markup=False)
            yield StyledTable(id="headroom", cursor_type="row")
            yield Static("GPUs in order (0,2 · 4-7 · 4:1 · all · auto · none)", markup=False)
            yield TextField(initial["gpus"], id="gpus", placeholder=empty)
            with Horizontal(classes="fields"):
                with Vertical():
                    yield Static("VRAM budget (3.5GiB · none)", markup=False)
                    yield TextField(initial["budget"], id="budget", placeholder=empty)
                with Vertical():
                    yield Static("priority (a number · none)", markup=False)
                    yield TextField(initial["priority"], id="priority", placeholder=empty)
            yield Static("", id="edit-problem", classes="problem", markup=False)
            keys = " ↓ list   space choose   enter take over   tab next field   esc cancel "
            yield Static(keys, classes="dialog-keys", markup=False)

    def on_mount(self) -> None:
        """Fill the table and focus the GPU field."""
        for title, width in (("", 1), ("GPU", 4), ("NAME", 16), ("FREE AFTER", 12), ("FREE NOW", 9), ("", 12)):
            numeric = title in ("FREE AFTER", "FREE NOW")
            self.gpu_table.add_column(Text(title, justify="right" if numeric else "left"), width=width)
        self._list()
        focus_now(self.typed)

    def _list(self) -> None:
        place = self.gpu_table.cursor_row
        self.gpu_table.clear()
        selection = self._selection()
        readings = {reading.gpu.uuid: reading for reading in self._snapshot.readings}
        for gpu in self._headroom:
            reading = readings.get(gpu.uuid)
            if reading is None:
                continue  # newer than the snapshot of this dialog
            label = reading.gpu.label
            order = f"{selection.index(label) + 1}" if label in selection else ""
            remaining, free = (
                "n/a" if mib is None else f"{gib(mib)} GiB" for mib in (gpu.left_mib, reading.memory_free_mib)
            )
            word = gpu.state.upper() if gpu.state != "ok" else "fits" if gpu.fits else "does not fit"
            style = "" if gpu.fits else "dim" if gpu.fits is None else "error"
            self.gpu_table.add_row(
                Text(order, style="bold"), Text(label), Text(short_name(reading.gpu.name)),
                Text(remaining, style=style, justify="right"), Text(free, justify="right"),
                Text("" if gpu.fits is None and gpu.state == "ok" else word, style=style), key=gpu.uuid,
            )  # fmt: skip
        self.gpu_table.move_cursor(row=place, animate=False)

    def _selection(self) -> list[str]:
        text = self.typed.value.strip().lower()
        if text == "all":
            return [self._labels[gpu.uuid] for gpu in self._headroom]
        return [name for name in out_of_runs(text) if name]

    @on(Input.Changed, "#gpus")
    def _typed_otherwise(self) -> None:
        self._list()

    def action_list(self) -> None:
        """Move the focus from the text to the table."""
        focus_now(self.gpu_table)

    def on_key(self, event: Key) -> None:
        """In the table, space and digits select GPUs."""
        if not self.gpu_table.has_focus:
            return
        label = None
        if event.key == "space" and self.gpu_table.row_count:
            uuid = self.gpu_table.coordinate_to_cell_key(self.gpu_table.cursor_coordinate).row_key.value
            label = self._labels.get(uuid or "")
        elif whole_number(event.character) is not None:
            label = event.character if event.character in self._labels.values() else None
        elif event.key in ("j", "k"):
            self.gpu_table.action_cursor_down() if event.key == "j" else self.gpu_table.action_cursor_up()
            event.stop()
        if label is not None:
            event.stop()
            selection = [name for name in self._selection() if name not in ("none", "auto")]
            selection = [name for name in selection if name != label] if label in selection else [*selection, label]
            self.typed.value = ",".join(selection)

    @on(DataTable.RowSelected)
    @on(Input.Submitted)
    def _done(self) -> None:
        values = {name: self.query_one(f"#{name}", Input).value for name in self._initial}
        is_multiple = len(self._services) > 1
        changes = {
            name: None if value.strip() == self._initial[name] else value or "none" for name, value in values.items()
        }
        if is_multiple:
            changes = {name: value if values[name].strip() else None for name, value in changes.items()}
        typed = TypedEdit(**changes)
        fault = self._fault_of(typed) if typed != TypedEdit() else ""
        if fault:
            self.query_one("#edit-problem", Static).update(f" ✗ {fault}")
            return
        self.dismiss(typed if typed != TypedEdit() else None)
