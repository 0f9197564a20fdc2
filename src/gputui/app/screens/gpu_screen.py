"""The GPU screen: all values of each GPU, its last ten minutes, and the links."""

from textual import getters, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, ScrollableContainer
from textual.screen import Screen
from textual.widgets import DataTable

from gputui.app.background import in_thread
from gputui.app.config.keymap import GPUS
from gputui.app.dialogs.help import Help, groups
from gputui.app.guarded import Guarded
from gputui.app.render.columns import Column, Row, cell
from gputui.app.render.gpu_detail import detail_lines, topology_lines
from gputui.app.render.styled import width_of
from gputui.app.render.values import amounts, short_name
from gputui.app.widgets.drawn_lines import DrawnLines
from gputui.app.widgets.key_bar import KeyBar
from gputui.app.widgets.row_table import RowTable
from gputui.app.widgets.status_bar import StatusBar
from gputui.controller.protocols import Watch
from gputui.domain.errors import GputuiError
from gputui.domain.gpu import Reading
from gputui.domain.gpu_details import LinkTraffic
from gputui.domain.snapshot import Snapshot

COLUMNS = (
    Column(title="GPU", width=5),
    Column(title="NAME", width=14, rank=4, grows=True),
    Column(title="UTIL", width=5, numeric=True),
    Column(title="GiB", width=7, numeric=True),
    Column(title="TEMP", width=5, rank=2, numeric=True),
    Column(title="POWER", width=6, rank=3, numeric=True),
    Column(title="STATE", width=8),
)
TRAFFIC_S = 2.0


class Gpus(Guarded, Screen[None]):
    """A list on the left and the selected GPU on the right; or the links between GPUs."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-middle"), (150, "-wide")]
    BINDINGS = [*GPUS]
    AUTO_FOCUS = "RowTable"

    table = getters.query_one(RowTable)
    detail = getters.query_one(DrawnLines)
    status = getters.query_one(StatusBar)

    def __init__(self, watch: Watch, snapshot: Snapshot, uuid: str | None = None, *, readonly: bool = False) -> None:
        super().__init__()
        self._readonly = readonly
        self._watch = watch
        self._snapshot = snapshot
        self._initial_uuid = uuid
        self._links = False
        self._traffic: dict[str, tuple[LinkTraffic | None, LinkTraffic | None]] = {}

    def compose(self) -> ComposeResult:
        """The list, the detail, the keys."""
        yield StatusBar(readonly=self._readonly)
        with Horizontal(id="gpu-halves"):
            yield RowTable(COLUMNS, id="gpu-list")
            with ScrollableContainer(id="gpu-detail", can_focus=False):
                yield DrawnLines()
        yield KeyBar(markup=False)

    def on_mount(self) -> None:
        """Show the last snapshot at once; link traffic is measured while the screen is open."""
        self.show(self._snapshot)
        if self._initial_uuid is not None:
            self.call_after_refresh(self.table.select, self._initial_uuid)
        self.set_interval(TRAFFIC_S, self._measure)

    def show(self, snapshot: Snapshot) -> None:
        """Show a new snapshot."""
        self._snapshot = snapshot
        self.status.show(snapshot)
        self.table.show([_row(reading) for reading in snapshot.readings])
        self._show_detail()

    @on(DataTable.RowHighlighted)
    def _show_detail(self) -> None:
        width = max(40, self.query_one("#gpu-detail").size.width - 2)
        if self._links:
            lines = topology_lines(self._snapshot.inventory.gpus, self._snapshot.inventory.links, width)
            self.detail.styles.width = max((width_of(line) for line in lines), default=width)
            self.detail.draw(lines)
            return
        self.detail.styles.width = "1fr"
        reading = self._selected()
        if reading is None:
            self.detail.draw(())
            return
        uuid = reading.gpu.uuid
        memory = next((gpu_memory for gpu_memory in self._snapshot.memory if gpu_memory.uuid == uuid), None)
        traffic = self._traffic.get(uuid, (None, None))
        self.detail.draw(detail_lines(reading, memory, self._watch.gpu_history(uuid), traffic, width))

    def on_resize(self) -> None:
        """Redraw for the new width."""
        self.call_after_refresh(self._show_detail)

    def _selected(self) -> Reading | None:
        key = self.table.selected_key
        return next((reading for reading in self._snapshot.readings if reading.gpu.uuid == key), None)

    @work(exclusive=True, group="traffic")
    async def _measure(self) -> None:
        reading = self._selected()
        if reading is None or self._links or self.app.screen is not self:
            return
        uuid = reading.gpu.uuid
        try:
            traffic = await in_thread(lambda: self._watch.traffic(uuid))
        except GputuiError:
            return
        self._traffic[uuid] = (traffic, self._traffic.get(uuid, (None, None))[0])

    def action_topology(self) -> None:
        """Switch between details and links."""
        self._links = not self._links
        self.table.display = not self._links
        self.call_after_refresh(self._show_detail)

    def action_scroll(self, columns: int, rows: int) -> None:
        """Scroll the details."""
        self.query_one("#gpu-detail").scroll_relative(x=columns, y=rows, animate=False)

    def action_help(self) -> None:
        """Show all keys."""
        self.app.push_screen(Help(groups(self)))

    def action_leave(self) -> None:
        """Return to the main screen."""
        self.dismiss(None)


def _row(reading: Reading) -> Row:
    gpu = reading.gpu
    faults = reading.details.faults if reading.details else ()
    state = reading.state if reading.state != "ok" else "unwell" if faults else "ok"
    indent = "" if gpu.parent_uuid is None else " "
    cells = {
        "GPU": cell(indent + gpu.label),
        "NAME": cell(short_name(gpu.name)),
        "UTIL": cell("n/a" if reading.utilization_percent is None else f"{reading.utilization_percent}%"),
        "GiB": cell(amounts(reading)),
        "TEMP": cell("n/a" if reading.temperature_c is None else f"{reading.temperature_c}°"),
        "POWER": cell("n/a" if reading.power_w is None else f"{reading.power_w:.0f}W"),
        "STATE": cell(state, "" if state == "ok" else "error" if state == "lost" else "warning"),
    }
    sort = {
        "GPU": gpu.index + (gpu.mig_index + 1 if gpu.mig_index is not None else 0) / 100,
        "UTIL": reading.utilization_percent, "GiB": reading.memory_used_mib, "TEMP": reading.temperature_c,
        "POWER": reading.power_w,
    }  # fmt: skip
    return Row(key=gpu.uuid, cells=cells, sort=sort)
