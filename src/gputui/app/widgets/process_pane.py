"""The processes pane: the processes on all GPUs."""

from collections.abc import Callable

from textual import work

from gputui.app.commands import Commands
from gputui.app.config.keymap import PROCESSES
from gputui.app.render.process_rows import COLUMNS, ProcessEntry, process_entries, process_rows, process_tree, totals
from gputui.app.widgets.table_pane import TablePane
from gputui.domain.snapshot import Snapshot


class ProcessPane(TablePane):
    """The processes as a list, or as a tree by service and user."""

    BINDINGS = [*PROCESSES]

    def __init__(self, commands: Commands, may: Callable[[str], bool | None], **options: str) -> None:
        super().__init__(COLUMNS, **options)
        self._commands = commands
        self._may = may
        self._tree = False
        self._entries: list[ProcessEntry] = []
        self._snapshot: Snapshot | None = None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide actions that are not permitted."""
        del parameters
        return self._may(action)

    def show(self, snapshot: Snapshot) -> None:
        """Update the table."""
        self._snapshot = snapshot
        self._entries = process_entries(snapshot)
        rows = process_tree(self._entries) if self._tree else process_rows(self._entries)
        self.show_rows(totals(snapshot, self._entries), rows)

    def action_tree(self) -> None:
        """Switch between list and tree."""
        self._tree = not self._tree
        self.table.sort_by(None, descending=False)
        if self._snapshot is not None:
            self.show(self._snapshot)

    @work(group="command")
    async def action_signal(self) -> None:
        """Send a signal to the selected process."""
        key = self.table.selected_key
        entry = next((entry for entry in self._entries if entry.key == key), None)
        if entry is None:
            self.notify("select a process; a whole service is stopped with x in the table above", markup=False)
            return
        await self._commands.signal(entry.process, entry.service)
