"""The main screen: cards, table, findings, and the panes below."""

from collections.abc import Awaitable, Sequence
from typing import Literal

from textual import getters, on, work
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import ContentSwitcher, DataTable, Footer, Input

from gputui.app.background import in_thread
from gputui.app.commands import Commands, Person, Severity
from gputui.app.gpu_rows import GPU_COLUMNS, gpu_rows
from gputui.app.keymap import MAIN, TABLE
from gputui.app.screens.choose import Choose
from gputui.app.screens.confirm import Confirm
from gputui.app.screens.edit_service import EditService, TypedEdit
from gputui.app.screens.help import Help
from gputui.app.screens.strategies import Strategies
from gputui.app.widgets.finding_line import MARKS, FindingLine
from gputui.app.widgets.gpu_cards import GpuCards
from gputui.app.widgets.launch_pane import LaunchPane
from gputui.app.widgets.log_pane import LogPane
from gputui.app.widgets.pane_tabs import PaneTabs
from gputui.app.widgets.plan_pane import PlanPane
from gputui.app.widgets.service_table import ServiceTable
from gputui.app.widgets.status_bar import StatusBar
from gputui.app.widgets.text_table import TextTable
from gputui.control.room import ControlRoom
from gputui.domain.errors import GputuiError
from gputui.domain.service import Service
from gputui.domain.snapshot import Snapshot
from gputui.domain.suggestion import Suggestion
from gputui.domain.units import gib

PANES = ("plan", "launch", "logs", "gpus", "processes", "findings", "history")

NEEDS_GPUS = {"toggle_gpu", "edit", "strategies"}
CHANGES = {
    "toggle_gpu",
    "edit",
    "strategies",
    "take_fix",
    "toggle_enabled",
    "undo",
    "save",
    "apply",
    "lifecycle",
    "stop_or_start",
    "roll_back",
    "fall_back",
}
NEEDS_ENGINE = CHANGES - {"undo"}


class MainScreen(Screen[None]):
    """Shows snapshots, and hands keys over to the commands."""

    AUTO_FOCUS = "ServiceTable"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]
    BINDINGS = [*MAIN]

    status = getters.query_one(StatusBar)
    cards = getters.query_one(GpuCards)
    table = getters.query_one(ServiceTable)
    finding = getters.query_one(FindingLine)
    tabs = getters.query_one(PaneTabs)
    panes = getters.query_one(ContentSwitcher)
    launch = getters.query_one(LaunchPane)
    logs = getters.query_one(LogPane)

    def __init__(self, room: ControlRoom, *, readonly: bool) -> None:
        super().__init__()
        self._room = room
        self._readonly = readonly
        self._snapshot: Snapshot | None = None
        self._planned: object = None
        self._asked_about: int | None = None
        person = Person(self._ask, self._choose, self._tell, self._launched)
        self._commands = Commands(room, person)

    def compose(self) -> ComposeResult:
        """The parts from top to bottom."""
        yield StatusBar(markup=False)
        yield GpuCards()
        yield ServiceTable()
        yield Input(placeholder="filter", id="filter")
        yield FindingLine(markup=False)
        yield PaneTabs(PANES)
        with ContentSwitcher(initial="plan"):
            with VerticalScroll(id="plan", can_focus=False):
                yield PlanPane(markup=False)
            yield LaunchPane(self._room, id="launch")
            yield LogPane(self._room, id="logs")
            for name in ("gpus", "processes", "findings", "history"):
                with VerticalScroll(id=name, can_focus=False):
                    yield TextTable(markup=False, classes="text-table")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """What is known already is shown at once."""
        self.show(self._room.snapshot())

    # --- showing --------------------------------------------------------------------------------------------------

    def show(self, snapshot: Snapshot) -> None:
        """Take in a new snapshot."""
        before, self._snapshot = self._snapshot, snapshot
        self.status.show(snapshot)
        self.cards.show(snapshot)
        self.table.show(snapshot)
        self._show_selected()
        apply = snapshot.apply
        if apply is not None and apply.under_way:
            self.launch.follow(apply.id)
        self.launch.show(snapshot.services if self.panes.current == "launch" else ())
        if before is None or _controls(before) != _controls(snapshot):
            self.refresh_bindings()
        if apply is not None and apply.cut_off and apply.id != self._asked_about and not self._readonly:
            self._asked_about = apply.id
            self._ask_about_cut_off()

    @work(group="command")
    async def _ask_about_cut_off(self) -> None:
        await self._commands.finish_cut_off()

    def _show_selected(self) -> None:
        if self._snapshot is None:
            return
        self.finding.show(self._snapshot, self.selected)
        self._show_pane()

    def _show_pane(self) -> None:
        snapshot = self._snapshot
        if snapshot is None:
            return
        match self.panes.current:
            case "plan":
                mark = (snapshot.draft, snapshot.services, snapshot.findings)
                if mark != self._planned:
                    self._planned = mark
                    self.query_one(PlanPane).show(self._room.plan())
            case "logs":
                self.logs.follow(self.selected)
            case "gpus":
                self._table_of("gpus").show(GPU_COLUMNS, gpu_rows(snapshot), "no GPU")
            case "processes":
                self._table_of("processes").show(
                    ("GPU", "PID", "USER", "GiB", "SERVICE", "COMMAND"), _processes(snapshot), "no process"
                )
            case "findings":
                rows = [(MARKS[one.severity], one.service or "", one.text, one.fix) for one in snapshot.findings]
                self._table_of("findings").show(("", "SERVICE", "FINDING", "WHAT TO DO"), rows, "nothing to say")
        if self.panes.current != "logs":
            self.logs.stop()

    def _table_of(self, pane: str) -> TextTable:
        return self.query_one(f"#{pane} TextTable", TextTable)

    @property
    def selected(self) -> Service | None:
        """The service under the cursor."""
        key = self.table.selected_key
        services = self._snapshot.services if self._snapshot else ()
        return next((service for service in services if service.key == key), None)

    @on(DataTable.RowHighlighted)
    def _other_row(self) -> None:
        self._show_selected()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What cannot be done now is grey; what may not be done is hidden."""
        del parameters
        if self._readonly and action in CHANGES:
            return False
        snapshot = self._snapshot
        if snapshot is None:
            return None if action in CHANGES else True
        no_gpus = action in NEEDS_GPUS and not snapshot.inventory.gpus
        no_engine = action in NEEDS_ENGINE and snapshot.engine.info is None
        return None if no_gpus or no_engine else True

    # --- talking to the person ------------------------------------------------------------------------------------

    def _ask(self, question: str, details: str, yes: str) -> Awaitable[bool]:
        return self.app.push_screen_wait(Confirm(question, details, yes))

    def _choose(self, question: str, details: str, choices: Sequence[tuple[str, str]]) -> Awaitable[str | None]:
        return self.app.push_screen_wait(Choose(question, details, choices))

    def _tell(self, text: str, severity: Severity) -> None:
        self.notify(text, severity=severity, markup=False, timeout=10 if severity == "error" else 4)

    def _launched(self, number: int) -> None:
        self.launch.follow(number)
        self.action_show_pane("launch")

    @on(LaunchPane.Ended)
    def _apply_ended(self, message: LaunchPane.Ended) -> None:
        record = message.record
        if record.result == "done":
            self._tell("the apply is done", "information")
        else:
            self._tell(f"the apply failed ({record.result.replace('_', ' ')}): {record.message}", "error")
            services = self._snapshot.services if self._snapshot else ()
            if any(one.fallback == "ask" and one.name in record.missing for one in services) and not self._readonly:
                self.action_fall_back()

    # --- keys -----------------------------------------------------------------------------------------------------

    @work(group="command")
    async def action_toggle_gpu(self, label: str) -> None:
        """Append this GPU to the selected service, or take it away."""
        if self.selected is not None:
            await self._commands.toggle_gpu(self.selected, label)

    @on(DataTable.RowSelected)
    def _row_entered(self) -> None:
        if self.check_action("edit", ()):
            self.action_edit()

    @work(group="command")
    async def action_edit(self) -> None:
        """Type GPUs and budget."""
        service, snapshot = self.selected, self._snapshot
        if service is None or snapshot is None:
            return
        typed: TypedEdit | None = await self.app.push_screen_wait(EditService(service, snapshot))
        if typed is not None:
            await self._commands.set_gpus_and_budget(service, typed.gpus, typed.budget)

    @work(group="command")
    async def action_toggle_enabled(self) -> None:
        """Enable or disable the selected service."""
        if self.selected is not None:
            await self._commands.toggle_enabled(self.selected)

    @work(group="command")
    async def action_strategies(self) -> None:
        """Compare the strategies; the chosen one goes into the draft."""
        if self._snapshot is not None:
            chosen: Suggestion | None = await self.app.push_screen_wait(Strategies(self._room, self._snapshot))
            if chosen is not None:
                await self._commands.take_suggestion(chosen)

    @work(group="command")
    async def action_take_fix(self) -> None:
        """Change the arguments as a finding about the selected service proposes."""
        if self.selected is not None and self._snapshot is not None:
            await self._commands.take_fix(self.selected, self._snapshot.findings)

    def action_undo(self) -> None:
        """Take the last edit back."""
        self._commands.undo()

    @work(group="command")
    async def action_save(self) -> None:
        """Save the draft."""
        await self._commands.save()

    @work(group="command")
    async def action_apply(self) -> None:
        """Carry the plan out."""
        await self._commands.apply()

    @work(group="command")
    async def action_lifecycle(self, action: Literal["restart", "start", "stop"]) -> None:
        """Restart, start or stop the selected service."""
        if self.selected is not None:
            await self._commands.lifecycle(self.selected, action)

    def action_stop_or_start(self) -> None:
        """Stop the selected service, or start it."""
        if self.selected is not None:
            self.action_lifecycle("stop" if self.selected.running else "start")

    @work(group="command")
    async def action_roll_back(self) -> None:
        """Go back to the revision before."""
        await self._commands.roll_back()

    @work(group="command")
    async def action_fall_back(self) -> None:
        """Another GPU for services whose own was gone."""
        await self._commands.fall_back()

    def action_show_pane(self, pane: str) -> None:
        """Show this pane."""
        self.panes.current = pane
        self.tabs.show(pane)
        if pane == "history":
            self._show_history()
        self._planned = None
        self._show_pane()

    def action_next_pane(self, step: int) -> None:
        """Show the next or the previous pane."""
        place = PANES.index(self.panes.current or "plan")
        self.action_show_pane(PANES[(place + step) % len(PANES)])

    @on(PaneTabs.Chosen)
    def _tab_chosen(self, message: PaneTabs.Chosen) -> None:
        self.action_show_pane(message.pane)

    @work(exclusive=True, group="history")
    async def _show_history(self) -> None:
        try:
            revisions = await in_thread(self._room.revisions)
            applies = await in_thread(self._room.applies)
        except GputuiError:
            revisions, applies = (), ()
        rows = [(f"revision {one.revision}", one.saved_at, one.author, "saved", one.reason) for one in revisions]
        for record in applies:
            result = "cut off" if record.cut_off else record.result.replace("_", " ")
            why = record.message or record.reason
            rows.append((f"apply {record.id}", record.started_at, record.operator, result, why))
        rows.sort(key=lambda one: one[1], reverse=True)
        self._table_of("history").show(("WHAT", "WHEN", "BY", "RESULT", "WHY"), rows, "nothing was saved yet")

    def action_cursor(self, step: int) -> None:
        """One row down or up."""
        self.table.move_cursor(row=max(0, self.table.cursor_row + step))

    def action_cursor_to(self, row: int) -> None:
        """The first or the last row."""
        self.table.move_cursor(row=row if row >= 0 else self.table.row_count - 1)

    def action_filter(self) -> None:
        """Type a filter."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    @on(Input.Changed, "#filter")
    def _filtered(self, message: Input.Changed) -> None:
        self.table.filter_text = message.value
        if self._snapshot is not None:
            self.table.show(self._snapshot)

    @on(Input.Submitted, "#filter")
    def _filter_done(self) -> None:
        self.table.focus()

    def action_back(self) -> None:
        """Leave the filter; back to the table."""
        field = self.query_one("#filter", Input)
        field.value = ""
        field.display = False
        self.table.focus()

    def action_rescan(self) -> None:
        """Look for new GPUs."""
        self._room.rescan()
        self._tell("looking for GPUs", "information")

    def action_help(self) -> None:
        """All keys."""
        self.app.push_screen(Help([*TABLE, *MAIN]))

    @work(group="command")
    async def action_quit(self) -> None:
        """Leave; edits that are not saved are asked about."""
        unsaved = len(self._snapshot.draft.changed) if self._snapshot else 0
        if unsaved:
            edits = "1 edit is" if unsaved == 1 else f"{unsaved} edits are"
            if not await self._ask(f"{edits} not saved. Quit without saving?", "", "quit"):
                return
        self.app.exit()


def _controls(snapshot: Snapshot) -> tuple[bool, bool]:
    return bool(snapshot.inventory.gpus), snapshot.engine.info is not None


def _processes(snapshot: Snapshot) -> list[tuple[str, ...]]:
    owners = {service.container.id: service.name for service in snapshot.services if service.container}
    rows: list[tuple[str, ...]] = []
    for reading in snapshot.readings:
        for one in reading.processes or ():
            container = one.container_id
            owner = owners.get(container or "", f"container {container[:12]}" if container else "foreign")
            rows.append(
                (reading.gpu.label, str(one.pid), one.user or "?", gib(one.memory_mib), owner, one.command or "?")
            )
    return rows
