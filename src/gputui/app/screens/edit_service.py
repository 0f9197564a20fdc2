"""Typing a service's GPUs and budget."""

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from gputui.domain.service import Service
from gputui.domain.snapshot import Snapshot
from gputui.domain.units import gib


@dataclass(frozen=True, slots=True)
class TypedEdit:
    """What was typed; checked by the control room."""

    gpus: str
    budget: str


class EditService(ModalScreen[TypedEdit | None]):
    """The GPUs as `0,2`, UUIDs, `auto` or `none`, and the budget as `3.5GiB` or `none`."""

    BINDINGS = [Binding("escape", "cancel", "cancel", id="edit.cancel")]

    def __init__(self, service: Service, snapshot: Snapshot) -> None:
        super().__init__()
        self._service = service
        self._snapshot = snapshot

    def compose(self) -> ComposeResult:
        """What each GPU has left, and the two fields."""
        names = {gpu.uuid: gpu.label for gpu in self._snapshot.inventory.gpus}
        gpus = ",".join(names.get(uuid, uuid) for uuid in self._service.assigned)
        budget = "" if self._service.budget_mib is None else f"{self._service.budget_mib}MiB"
        need = self._service.requirement
        with Vertical(classes="dialog"):
            yield Static(
                f"{self._service.name}: needs {gib(need.claim_mib)} GiB on each GPU ({need.source})",
                classes="dialog-title",
                markup=False,
            )
            yield Static(self._room_text(), markup=False)
            yield Static("GPUs in order (0,2 · 4:1 · all · auto · none)", markup=False)
            yield Input(gpus, id="gpus", placeholder="none")
            yield Static("VRAM budget (3.5GiB · none)", markup=False)
            yield Input(budget, id="budget", placeholder="none")
            yield Static(" enter take over    tab next field    esc cancel ", classes="dialog-keys", markup=False)

    def _room_text(self) -> str:
        lines = []
        for reading, memory in zip(self._snapshot.readings, self._snapshot.memory, strict=True):
            if reading.gpu.assignable:
                mark = "●" if reading.gpu.uuid in self._service.assigned else "○"
                left = "n/a" if memory.free_after_mib is None else gib(memory.free_after_mib)
                lines.append(f" {mark} {reading.gpu.label:>4} {reading.gpu.name[:28]:28} {left:>6} GiB left")
        return "\n".join(lines)

    def on_input_submitted(self) -> None:
        """Both fields are taken over together."""
        self.dismiss(TypedEdit(self.query_one("#gpus", Input).value, self.query_one("#budget", Input).value))

    def action_cancel(self) -> None:
        """Nothing was typed."""
        self.dismiss(None)
