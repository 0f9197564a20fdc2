"""The GPU cards: one widget draws them all, and repaints only the lines that changed."""

from collections import deque
from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from gputui.app.gpu_card import CARD_HEIGHT, CardView, card, row, short_name
from gputui.app.lines import Line, Run, fit
from gputui.domain.gpu import GpuInventory
from gputui.domain.snapshot import Snapshot

CARD_WIDTH = 27
PERIOD_S = 15.0
"""Seconds of one cell of the graph: between two of them only its last cell changes, which saves bytes over SSH."""
PERIODS = 40


class UtilizationHistory:
    """The highest utilisation of every period, per GPU."""

    def __init__(self) -> None:
        self._periods: dict[str, deque[tuple[int, int | None]]] = {}

    def add(self, uuid: str, at: float, percent: int | None) -> None:
        """Note one reading."""
        periods = self._periods.setdefault(uuid, deque(maxlen=PERIODS))
        period = int(at // PERIOD_S)
        if periods and periods[-1][0] == period:
            known = [value for value in (periods[-1][1], percent) if value is not None]
            periods[-1] = (period, max(known, default=None))
        else:
            periods.append((period, percent))

    def of(self, uuid: str) -> tuple[int | None, ...]:
        """The periods, oldest first."""
        return tuple(value for _, value in self._periods.get(uuid, ()))


class GpuCards(Widget):
    """Cards that wrap, or one line a GPU where there is little room."""

    COMPONENT_CLASSES = {
        f"gpu-cards--{name}"
        for name in (
            "text", "dim", "frame", "over", "lost", "title", "warning", "graph",
            "service", "service-other", "foreign", "planned", "freed", "free",
        )
    }  # fmt: skip

    def __init__(self, **options: str) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._views: tuple[CardView, ...] = ()
        self._inventory = GpuInventory(reason="looking for GPUs")
        self._lines: list[Line] = []
        self._history = UtilizationHistory()
        self._styles_of: dict[str, Style] = {}

    def show(self, snapshot: Snapshot) -> None:
        """Take in new values."""
        over = {one.uuid for one in snapshot.memory if one.over}
        memory = {one.uuid: one for one in snapshot.memory}
        for reading in snapshot.readings:
            self._history.add(reading.gpu.uuid, reading.taken_at, reading.utilization_percent)
        before = (len(self._views), bool(self._inventory.gpus))
        self._inventory = snapshot.inventory
        self._views = tuple(
            CardView(
                reading=reading,
                memory=memory.get(reading.gpu.uuid),
                history=self._history.of(reading.gpu.uuid),
                warning=reading.gpu.uuid in over,
            )
            for reading in snapshot.readings
        )
        if before != (len(self._views), bool(self._inventory.gpus)):
            self.refresh(layout=True)
        self._draw()

    def _columns(self, width: int) -> int:
        """As few rows as fit, evenly filled."""
        most = max(1, min(len(self._views), width // CARD_WIDTH))
        rows = -(-len(self._views) // most)
        return -(-len(self._views) // max(1, rows)) or 1

    def _as_rows(self, width: int) -> bool:
        """One line a GPU where cards would take more than half of the screen."""
        deep = -(-len(self._views) // self._columns(width)) * CARD_HEIGHT
        return width < CARD_WIDTH or deep > max(CARD_HEIGHT, self.app.size.height // 2 - 1)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as the cards take."""
        del container, viewport
        return max(2, len(self._laid_out(width)))

    def _laid_out(self, width: int) -> list[Line]:
        if not self._views:
            return [fit(line, width) for line in self._none_lines()]
        if self._as_rows(width):
            names = max(len(short_name(view.reading.gpu.name)) for view in self._views)
            return [row(view, width, min(names, 20)) for view in self._views]
        columns = self._columns(width)
        size = width // columns
        lines: list[Line] = []
        for first in range(0, len(self._views), columns):
            cards = [card(view, size) for view in self._views[first : first + columns]]
            for number in range(CARD_HEIGHT):
                whole: list[Run] = [run for one in cards for run in one[number]]
                lines.append(fit(whole, width))
        return lines

    def _none_lines(self) -> Sequence[Line]:
        if self._inventory.reason == "looking for GPUs":
            return [(Run(" Looking for GPUs…", "dim"),), ()]
        fix = self._inventory.fix
        return [
            (Run(" No GPUs detected", "lost"), Run(f": {self._inventory.reason}")),
            (Run(f" {fix}. F5 looks again." if fix else " F5 looks again.", "dim"),),
        ]

    def _draw(self) -> None:
        lines = self._laid_out(self.size.width)
        before, self._lines = self._lines, lines
        if len(lines) != len(before):
            self.refresh(layout=True)
            return
        for y, (old, new) in enumerate(zip(before, lines, strict=True)):
            if old != new:
                self.refresh(Region(0, y, self.size.width, 1))

    def on_resize(self) -> None:
        """Another width, other lines."""
        self._lines = self._laid_out(self.size.width)
        self.refresh()

    def notify_style_update(self) -> None:
        """Another theme, other colours."""
        super().notify_style_update()
        self._styles_of = {}

    def _style(self, name: str) -> Style:
        style = self._styles_of.get(name)
        if style is None:
            style = self._styles_of[name] = self.get_component_rich_style(f"gpu-cards--{name}")
        return style

    def render_line(self, y: int) -> Strip:
        """One line as it stands."""
        if y >= len(self._lines):
            return Strip.blank(self.size.width, self.rich_style)
        return Strip([Segment(run.text, self._style(run.style)) for run in self._lines[y]], self.size.width)
