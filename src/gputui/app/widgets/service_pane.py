"""The services: the table, its filter, the findings below, and the keys."""

from collections.abc import Callable
from functools import partial
from typing import Literal

from textual import getters, on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import DataTable, Static

from gputui.app.commands import Commands
from gputui.app.config.keymap import SERVICES
from gputui.app.dialogs.edit_service import EditService
from gputui.app.dialogs.inspect import Inspect
from gputui.app.guarded import Guarded
from gputui.app.widgets.finding_line import FindingLine
from gputui.app.widgets.prompt import Prompt, focus_now
from gputui.app.widgets.row_table import RowTable
from gputui.app.widgets.service_table import ServiceTable
from gputui.controller.protocols import ComposeFiles, Draft
from gputui.domain.service import Service, ServiceKey, TypedEdit
from gputui.domain.snapshot import Snapshot


class ServicePane(Guarded, Vertical):
    """Passes keys for services to the commands; if services are marked, keys act on all of them."""

    BINDINGS = [*SERVICES]

    class Selected(Message):
        """The cursor moved to another service."""

    table = getters.query_one(ServiceTable)
    finding = getters.query_one(FindingLine)
    prompt = getters.query_one(Prompt)

    def __init__(
        self, draft: Draft, compose_files: ComposeFiles, commands: Commands, may: Callable[[str], bool | None]
    ) -> None:
        super().__init__()
        self._draft = draft
        self._compose_files = compose_files
        self._commands = commands
        self._may = may
        self._snapshot: Snapshot | None = None

    def compose(self) -> ComposeResult:
        """Table, filter note, prompt and findings."""
        yield ServiceTable()
        yield Static("", id="filter-note", markup=False)
        yield Prompt()
        yield FindingLine()

    def show(self, snapshot: Snapshot) -> None:
        """Show a new snapshot."""
        self._snapshot = snapshot
        self.table.show_services(snapshot)
        self._note()
        self.finding.show(snapshot, self.selected)

    @property
    def services(self) -> tuple[Service, ...]:
        """All services."""
        return self._snapshot.services if self._snapshot else ()

    @property
    def _target_keys(self) -> list[ServiceKey]:
        """The keys of the services that keys act on."""
        return [service.key for service in self.table.targets]

    @property
    def selected(self) -> Service | None:
        """The service under the cursor."""
        return self.table.selected

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide actions that are not permitted, and dim those that are not possible now."""
        del parameters
        return self._may(action)

    @on(DataTable.RowHighlighted)
    def _other_row(self) -> None:
        if self._snapshot is not None:
            self.finding.show(self._snapshot, self.selected)
        self.post_message(self.Selected())

    # --- the filter -----------------------------------------------------------------------------------------------

    @on(RowTable.FilterAsked)
    def _filter_asked(self, message: RowTable.FilterAsked) -> None:
        message.stop()
        self.prompt.ask("filter", self.table.filter_text)

    @on(Prompt.Typed)
    def _typed(self, message: Prompt.Typed) -> None:
        message.stop()
        self._filter(message.text)

    def _filter(self, text: str) -> None:
        self.table.set_filter(text)
        self._note()

    def _note(self) -> None:
        """Show the active filter, and that keys act on the marked services."""
        text, marks, count = self.table.filter_text, len(self.table.marked), len(self.table.shown_keys)
        parts = [f"{marks} marked: keys mean {'it' if marks == 1 else 'these'} · esc unmarks"] if marks else []
        if text:
            summary = f"only with “{text}”: {count or 'none'} of {len(self.services)} services"
            parts.append(f"{summary} · esc shows all")
        elif not self.services and self._snapshot is not None and self._snapshot.engine.info is not None:
            parts.append("no services: n writes one, --file COMPOSE reads a Compose file")
        note, note_text = self.query_one("#filter-note", Static), "   ".join(parts)
        if note.content != f" {note_text}":
            note.display = bool(note_text)
            note.update(f" {note_text}")

    @on(Prompt.Done)
    def _typed_all(self, message: Prompt.Done) -> None:
        message.stop()
        if not message.accepted:
            self._filter("")
        focus_now(self.table)

    def leave(self) -> bool:
        """Clear the filter or the marks; returns whether there was one."""
        if self.table.filter_text:
            self._filter("")
            return True
        had_marks = self.table.unmark()
        self._note()
        return had_marks

    # --- keys -----------------------------------------------------------------------------------------------------

    def action_mark(self) -> None:
        """Mark the selected service."""
        self.table.mark()
        self._note()

    def action_mark_all(self) -> None:
        """Mark all visible services."""
        self.table.mark_all()
        self._note()

    @work(group="command")
    async def action_toggle_gpu(self, label: str) -> None:
        """Add or remove this GPU."""
        if self.table.targets:
            await self._commands.edit(partial(self._draft.toggle_gpu, self._target_keys, label))

    @on(DataTable.RowSelected)
    def _row_entered(self, message: DataTable.RowSelected) -> None:
        message.stop()
        if self._may("edit"):
            self.action_edit()

    @work(group="command")
    async def action_edit(self) -> None:
        """Edit GPUs, budget and priority."""
        services, snapshot = self.table.targets, self._snapshot
        if not services or snapshot is None:
            return
        headroom = self._draft.headroom([service.key for service in services])
        dialog = EditService(services, snapshot, headroom, partial(self._commands.fault_of, services))
        typed: TypedEdit | None = await self.app.push_screen_wait(dialog)
        if typed is not None:
            await self._commands.edit(partial(self._draft.edit, [service.key for service in services], typed))

    @work(group="command")
    async def action_toggle_enabled(self) -> None:
        """Disable the services, or enable them if none is enabled."""
        if self.table.targets:
            enabled = not any(service.enabled for service in self.table.targets)
            await self._commands.edit(partial(self._draft.set_enabled, self._target_keys, enabled))

    @work(group="command")
    async def action_take_fix(self) -> None:
        """Apply the fix of a finding about the selected service."""
        if self.selected is not None and self._snapshot is not None:
            await self._commands.take_fix(self.selected, self._snapshot.findings)

    @work(group="command")
    async def action_lifecycle(self, action: Literal["restart", "start", "stop"]) -> None:
        """Restart, start or stop."""
        if self.table.targets:
            await self._commands.lifecycle(self.table.targets, action)

    def action_stop_or_start(self) -> None:
        """Stop the services, or start them if none is running."""
        if self.table.targets:
            self.action_lifecycle("stop" if any(service.running for service in self.table.targets) else "start")

    @work(group="command")
    async def action_take_file(self) -> None:
        """Re-create the services from their Compose file."""
        if self.table.targets:
            await self._commands.refresh(self.table.targets)

    @work(group="command")
    async def action_shell(self) -> None:
        """Open a shell in the container."""
        if self.selected is not None:
            await self._commands.shell(self.selected)

    def action_inspect(self) -> None:
        """Show everything known about the service."""
        if self.selected is not None and self._snapshot is not None:
            self.app.push_screen(Inspect(self._compose_files, self.selected, self._snapshot))
