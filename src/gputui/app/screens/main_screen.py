"""The main screen: cards, services and panes."""

import subprocess
from collections.abc import Awaitable, Sequence

from textual import getters, on, work
from textual.app import ComposeResult, SuspendNotSupported
from textual.content import Content
from textual.events import Key
from textual.screen import Screen
from textual.widgets import ContentSwitcher

from gputui.app.commands import Commands, Dialogs, Severity
from gputui.app.config.keymap import CHANGES, MAIN
from gputui.app.config.preferences import Preferences
from gputui.app.config.ui_state import UiState
from gputui.app.dialogs.help import Help, groups
from gputui.app.dialogs.new_service_form import NewServiceForm
from gputui.app.dialogs.question import Choose, Confirm
from gputui.app.dialogs.strategy_comparison import Strategies
from gputui.app.guarded import Guarded
from gputui.app.render.notifications import Notification, notifications_between
from gputui.app.screens.gpu_screen import Gpus
from gputui.app.widgets.event_pane import EventPane
from gputui.app.widgets.finding_pane import FindingPane
from gputui.app.widgets.gpu_cards import LOOKS, GpuCards
from gputui.app.widgets.history_pane import HistoryPane
from gputui.app.widgets.key_bar import KeyBar
from gputui.app.widgets.launch_pane import LaunchPane, outcome_text
from gputui.app.widgets.logs_pane import LogsPane
from gputui.app.widgets.pane_tabs import PaneTabs
from gputui.app.widgets.plan_pane import PlanPane
from gputui.app.widgets.process_pane import ProcessPane
from gputui.app.widgets.prompt import focus_now
from gputui.app.widgets.row_table import RowTable
from gputui.app.widgets.service_pane import ServicePane
from gputui.app.widgets.service_table import ServiceTable
from gputui.app.widgets.status_bar import StatusBar
from gputui.app.widgets.table_pane import TablePane
from gputui.controller.protocols import Controller
from gputui.domain.compose import FileEdit
from gputui.domain.service import Service
from gputui.domain.snapshot import Snapshot
from gputui.domain.suggestion import Suggestion

PANES = ("plan", "launch", "logs", "processes", "findings", "history", "events")

ZOOMS = ("-lower-zoomed", "-upper-zoomed")

NEEDS_GPUS = {"toggle_gpu", "edit", "strategies"}
NEEDS_ENGINE = CHANGES - {"undo", "redo", "signal"}


APPLY_DONE = "the apply is done"
RECORDED_TEXTS = (APPLY_DONE,)


class MainScreen(Guarded, Screen[None]):
    """Shows snapshots and passes keys to the commands."""

    AUTO_FOCUS = "ServiceTable"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]
    BINDINGS = [*MAIN]

    status = getters.query_one(StatusBar)
    cards = getters.query_one(GpuCards)
    services = getters.query_one(ServicePane)
    tabs = getters.query_one(PaneTabs)
    panes = getters.query_one(ContentSwitcher)
    launch = getters.query_one(LaunchPane)
    logs = getters.query_one(LogsPane)

    def __init__(self, controller: Controller, preferences: Preferences, ui_state: UiState, *, readonly: bool) -> None:
        super().__init__()
        self._controller = controller
        self._preferences = preferences
        self._ui_state = ui_state
        self._readonly = readonly
        self._snapshot: Snapshot | None = None
        self._plan_mark: object = None
        self._complete = False
        self._wanted_pane: str | None = None
        self.events = EventPane(id="events")
        self._prompted_apply: int | None = None
        dialogs = Dialogs(self._ask, self._choose, self._tell, self._launched, self._run_program)
        self._commands = Commands(controller, dialogs)

    def compose(self) -> ComposeResult:
        """The widgets from top to bottom."""
        look = self._ui_state.cards or self._preferences.cards
        yield StatusBar(readonly=self._readonly)
        yield GpuCards(self._controller.watch, look if look in LOOKS else "auto")
        yield ServicePane(self._controller.draft, self._controller.compose_files, self._commands, self.may)
        yield PaneTabs(PANES)
        with ContentSwitcher(initial="plan"):
            yield PlanPane(id="plan")
        yield KeyBar(markup=False)

    def on_mount(self) -> None:
        """Show the current snapshot at once, then mount the panes."""
        table = self.services.table
        columns = self._ui_state.columns if self._ui_state.columns is not None else self._preferences.columns
        table.chosen = None if columns is None else frozenset(columns)
        table.sort_column, table.descending = self._ui_state.sort, self._ui_state.descending
        self.show(self._controller.watch.snapshot())
        self.call_after_refresh(self._mount_panes)

    async def _mount_panes(self) -> None:
        """Mount the hidden panes and start the watch, after the first frame."""
        controller = self._controller
        panes = (
            LaunchPane(
                controller.history,
                controller.applies,
                controller.logs,
                self._commands,
                readonly=self._readonly,
                id="launch",
            ),
            LogsPane(controller.logs, self._preferences, id="logs"),
            ProcessPane(self._commands, self.may, id="processes"),
            FindingPane(id="findings"),
            HistoryPane(controller.history, controller.logs, self.may, id="history"),
            self.events,
        )
        for pane in panes:
            pane.display = False
        if self.panes.is_attached:
            await self.panes.mount(*panes)
        self._complete = all(pane.is_attached for pane in panes)  # not if the user quit at once
        self._controller.watch.start()
        if not self._complete:
            return
        if self._snapshot is not None:
            self.show(self._snapshot)
        if self._wanted_pane is not None:
            self.action_show_pane(self._wanted_pane)

    # --- showing --------------------------------------------------------------------------------------------------

    def show(self, snapshot: Snapshot) -> None:
        """Show a new snapshot."""
        previous, self._snapshot = self._snapshot, snapshot
        self.status.show(snapshot)
        self.cards.show(snapshot)
        self.services.show(snapshot)
        self._show_pane()
        if self._complete:
            self._show_launch(snapshot)
        if previous is None or _controls(previous) != _controls(snapshot):
            self.refresh_bindings()
        for notification in notifications_between(previous, snapshot) if previous is not None else ():
            self._show_notification(notification)
        apply = snapshot.apply
        if apply is not None and apply.cut_off and apply.id != self._prompted_apply and not self._readonly:
            self._prompted_apply = apply.id
            self._ask_about_interrupted()

    def _show_launch(self, snapshot: Snapshot) -> None:
        if snapshot.apply is not None and snapshot.apply.under_way:
            self.launch.follow(snapshot.apply.id)
        self.launch.show(snapshot.services if self.panes.current == "launch" else ())

    @work(group="command")
    async def _ask_about_interrupted(self) -> None:
        await self._commands.finish_interrupted()

    def _show_notification(self, notification: Notification) -> None:
        self.events.add(notification)
        self._toast(notification.text, notification.severity)
        notices = self._preferences.notices
        if notices.bell and notification.severity != "information":
            self.app.bell()
        if notices.desktop and notification.severity != "information":
            self.app.notify_desktop(notification.text)  # type: ignore[attr-defined]

    def _show_plan(self, snapshot: Snapshot) -> None:
        pane = self.query_one(PlanPane)
        if snapshot.engine.info is None:
            pane.show_unknown(snapshot.engine)
        else:
            pane.show(self._controller.applies.plan(seen=snapshot))

    @on(ServicePane.Selected)
    def _show_pane(self) -> None:
        snapshot = self._snapshot
        if snapshot is None:
            return
        match self.panes.current:
            case "plan":
                mark = (snapshot.draft, snapshot.services, snapshot.findings, snapshot.engine)
                if mark != self._plan_mark:
                    self._plan_mark = mark
                    self._show_plan(snapshot)
            case "logs":
                self.logs.show(snapshot, self.services.selected)
            case "processes":
                self.query_one(ProcessPane).show(snapshot)
            case "findings":
                self.query_one(FindingPane).show(snapshot)
            case "history":
                self.query_one(HistoryPane).show(snapshot)
            case "events":
                self.events.show()
        if self._complete and self.panes.current != "logs":
            self.logs.stop()

    def may(self, action: str) -> bool | None:
        """Whether an action is available: True, False if not permitted (hidden), None if not possible now (dimmed)."""
        if self._readonly and action in CHANGES:
            return False
        snapshot = self._snapshot
        if snapshot is None:
            return None if action in CHANGES else True
        no_gpus = action in NEEDS_GPUS and not snapshot.inventory.gpus
        no_engine = action in NEEDS_ENGINE and snapshot.engine.info is None
        return None if no_gpus or no_engine else True

    def on_key(self, event: Key) -> None:
        """Explain digits that have no effect because the table does not have the focus."""
        is_digit = event.character is not None and event.character in "0123456789"
        if is_digit and event.key not in self.active_bindings and self.may("toggle_gpu"):
            self._tell("digits give GPUs to a service while the table has the focus: tab goes there", "information")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether the action is available."""
        del parameters
        return self.may(action)

    # --- dialogs --------------------------------------------------------------------------------------------------

    def _ask(self, question: str, details: str | Content, yes: str) -> Awaitable[bool]:
        return self.app.push_screen_wait(Confirm(question, details, yes))

    def _choose(
        self, question: str, details: str | Content, choices: Sequence[tuple[str, str]]
    ) -> Awaitable[str | None]:
        return self.app.push_screen_wait(Choose(question, details, choices))

    def _tell(self, text: str, severity: Severity) -> None:
        if severity != "information" or text in RECORDED_TEXTS:
            self.events.add(Notification(severity, "here", text))
        self._toast(text, severity)

    def _toast(self, text: str, severity: Severity) -> None:
        sign = {"error": "✗ ", "warning": "▲ "}.get(severity, "")
        self.notify(sign + text, severity=severity, markup=False, timeout=10 if severity == "error" else 4)

    def _launched(self, number: int) -> None:
        self.launch.follow(number)
        self._show("launch")

    def _run_program(self, command: Sequence[str]) -> None:
        try:
            with self.app.suspend():
                subprocess.run(list(command), check=False)
        except SuspendNotSupported:
            self._tell("this terminal cannot be lent to another program", "error")

    @on(LaunchPane.Ended)
    def _apply_ended(self, message: LaunchPane.Ended) -> None:
        record = message.record
        if record.result == "done":
            self._tell(APPLY_DONE, "information")
        else:
            self._tell(f"the apply {outcome_text(record)}: {record.message}", "error")
            services = self._snapshot.services if self._snapshot else ()
            candidates = [service for service in services if service.fallback == "ask"]
            if (
                any(service.was_called(name) for service in candidates for name in record.missing)
                and not self._readonly
            ):
                self.action_fall_back()

    @on(FindingPane.Chosen)
    def _finding_chosen(self, message: FindingPane.Chosen) -> None:
        service = self._service_named(message.service)
        if service is not None:
            self.services.table.select(str(service.key))
            focus_now(self.services.table)
        elif message.gpu is not None:
            self._show_gpus(message.gpu)

    def _service_named(self, name: str | None) -> Service | None:
        services = self._snapshot.services if self._snapshot else ()
        return next((service for service in services if service.name == name), None)

    @on(HistoryPane.RollBackAsked)
    def _roll_back_asked(self, message: HistoryPane.RollBackAsked) -> None:
        if self.may("roll_back"):
            self.action_roll_back(message.revision)

    @on(RowTable.ColumnsChosen)
    def _columns_chosen(self, message: RowTable.ColumnsChosen) -> None:
        table = message.table
        if isinstance(table, ServiceTable):
            columns = None if table.chosen is None else tuple(sorted(table.chosen))
            self.app.keep(columns=columns, sort=table.sort_column, descending=table.descending)  # type: ignore[attr-defined]

    # --- keys -----------------------------------------------------------------------------------------------------

    @work(group="command")
    async def action_strategies(self) -> None:
        """Compare the strategies, and put the chosen one into the draft."""
        if self._snapshot is not None:
            suggestion: Suggestion | None = await self.app.push_screen_wait(
                Strategies(self._controller.draft, self._snapshot)
            )
            if suggestion is not None:
                await self._commands.take_suggestion(suggestion)

    def action_undo(self) -> None:
        """Undo the last edit."""
        self._commands.undo()

    def action_redo(self) -> None:
        """Redo the last undone edit."""
        self._commands.redo()

    @work(group="command")
    async def action_save(self) -> None:
        """Save the draft."""
        await self._commands.save()

    @work(group="command")
    async def action_apply(self) -> None:
        """Apply the plan."""
        await self._commands.apply()

    @work(group="command")
    async def action_roll_back(self, revision: int | None = None) -> None:
        """Return to a revision, by default the previous one."""
        await self._commands.roll_back(revision)

    @work(group="command")
    async def action_fall_back(self) -> None:
        """Assign another GPU to services whose GPU was missing."""
        await self._commands.fall_back()

    def action_show_pane(self, pane: str) -> None:
        """Show this pane and focus it, so that its keys are active until escape."""
        if not self._complete:
            self._wanted_pane = pane
            return
        self.remove_class("-upper-zoomed")
        self._show(pane)
        self._to_pane()

    def _show(self, pane: str) -> None:
        self.panes.current = pane
        self.tabs.show(pane)
        self.set_class(pane == "findings", "-findings-shown")
        self._plan_mark = None
        self._show_pane()

    def _in_panes(self) -> bool:
        return self.focused is not None and self.panes in self.focused.ancestors_with_self

    def _to_pane(self) -> None:
        pane = self.panes.visible_content
        if pane is not None:
            focus_now(pane.table if isinstance(pane, TablePane) else pane)

    def action_other_half(self) -> None:
        """Switch the focus between table and pane."""
        zoomed = self._zoomed
        self.remove_class(*ZOOMS)
        if self._in_panes():
            focus_now(self.services.table)
        else:
            self._to_pane()
        if zoomed:
            self.call_after_refresh(self.action_zoom)

    @property
    def _zoomed(self) -> bool:
        return any(self.has_class(name) for name in ZOOMS)

    def action_zoom(self) -> None:
        """Toggle full screen for the half that has the focus."""
        zoomed = self._zoomed
        self.remove_class(*ZOOMS)
        self.set_class(not zoomed, ZOOMS[0] if self._in_panes() else ZOOMS[1])

    def action_next_pane(self, step: int) -> None:
        """Show the next or the previous pane."""
        place = PANES.index(self.panes.current or "plan")
        self.action_show_pane(PANES[(place + step) % len(PANES)])

    @on(PaneTabs.Chosen)
    def _tab_chosen(self, message: PaneTabs.Chosen) -> None:
        self.action_show_pane(message.pane)

    def action_back(self) -> None:
        """Leave a zoom, a filter or marks; then return to the table."""
        self._wanted_pane = None
        if self._zoomed:
            self.remove_class(*ZOOMS)
        elif self._in_panes():
            pane = self.panes.visible_content
            if not (isinstance(pane, TablePane) and pane.leave()):
                focus_now(self.services.table)
        elif not self.services.leave():
            focus_now(self.services.table)

    def action_cards(self) -> None:
        """Switch to the next look of the GPU cards."""
        look = self.cards.choose_next()
        self.app.keep(cards=look)  # type: ignore[attr-defined]
        self._tell(f"GPUs: {look}", "information")

    def action_gpus(self) -> None:
        """Open the GPU screen."""
        self._show_gpus(None)

    def _show_gpus(self, uuid: str | None) -> None:
        if self._snapshot is not None and self._snapshot.readings:
            self.app.push_screen(Gpus(self._controller.watch, self._snapshot, uuid, readonly=self._readonly))
        else:
            self._tell("there is no GPU to look at", "information")

    @work(group="command")
    async def action_new_service(self) -> None:
        """Write a new service into the Compose file."""
        if self._snapshot is not None and not self._snapshot.project:
            self._tell(
                "there is no Compose file to write a new service into: start gputui with --file COMPOSE", "error"
            )
        elif self._snapshot is not None:
            edit: FileEdit | None = await self.app.push_screen_wait(
                NewServiceForm(self._controller.compose_files, self._snapshot)
            )
            if edit is not None:
                await self._commands.write_service(edit)

    def action_rescan(self) -> None:
        """Scan for new GPUs."""
        self._controller.watch.rescan()
        self._tell("looking for GPUs", "information")

    def action_help(self) -> None:
        """Show the keys of the focused part."""
        self.app.push_screen(Help(groups(self)))

    @work(group="command")
    async def action_quit(self) -> None:
        """Quit, after a question if there are unsaved edits."""
        unsaved = len(self._snapshot.draft.changed) if self._snapshot else 0
        if unsaved:
            edits = "1 edit is" if unsaved == 1 else f"{unsaved} edits are"
            if not await self._ask(f"{edits} not saved. Quit without saving?", "", "quit"):
                return
        self.app.exit()


def _controls(snapshot: Snapshot) -> tuple[bool, bool]:
    return bool(snapshot.inventory.gpus), snapshot.engine.info is not None
