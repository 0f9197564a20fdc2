"""The GPU cards: wrapping cards, rows, or one line for all."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from textual.geometry import Size

from gputui.app.render.gpu_card import CARD_HEIGHT, CardView, card, overview, row
from gputui.app.render.graphs import resampled
from gputui.app.render.styled import Line, Run, fit
from gputui.app.render.values import short_name
from gputui.app.widgets.drawn_lines import DrawnLines
from gputui.controller.protocols import Watch
from gputui.domain.gpu import GpuInventory
from gputui.domain.snapshot import Snapshot

CARD_WIDTH = 27
PERIODS = 40
"""Cells of a ten-minute graph: it moves every 15 seconds; in between only the last cell changes."""

CardsLook = Literal["auto", "cards", "rows", "line"]
LOOKS: tuple[CardsLook, ...] = ("auto", "cards", "rows", "line")


class GpuCards(DrawnLines):
    """The GPUs in the chosen look; `auto` depends on the available space."""

    def __init__(self, watch: Watch, look: CardsLook) -> None:
        super().__init__()
        self._watch = watch
        self.look = look
        self._views: tuple[CardView, ...] = ()
        self._inventory = GpuInventory(reason="looking for GPUs")

    def show(self, snapshot: Snapshot) -> None:
        """Update the cards."""
        over = {gpu_memory.uuid for gpu_memory in snapshot.memory if gpu_memory.over}
        memory = {gpu_memory.uuid: gpu_memory for gpu_memory in snapshot.memory}
        previous_shape = (len(self._views), bool(self._inventory.gpus))
        self._inventory = snapshot.inventory
        self._views = tuple(
            CardView(reading=reading, memory=memory.get(reading.gpu.uuid), warning=reading.gpu.uuid in over)
            for reading in snapshot.readings
        )
        if self._fitting(self.size.width) == "cards":
            self._views = tuple(self._with_graphs(view) for view in self._views)
        if previous_shape != (len(self._views), bool(self._inventory.gpus)):
            self.refresh(layout=True)
        self.draw(self._laid_out(self.size.width))

    def _with_graphs(self, view: CardView) -> CardView:
        history = self._watch.gpu_history(view.reading.gpu.uuid)
        busy = resampled(history, lambda moment: moment.utilization_percent, PERIODS)
        filled = resampled(history, lambda moment: moment.memory_percent, PERIODS)
        return replace(view, busy=tuple(busy), filled=tuple(filled))

    def choose_next(self) -> CardsLook:
        """Switch to the next look that differs from the current one."""
        current, place = self._fitting(self.size.width), LOOKS.index(self.look)
        later = [LOOKS[(place + step) % len(LOOKS)] for step in range(1, len(LOOKS))]
        self.look = next(look for look in later if look != current or look == "auto")
        self.draw(self._laid_out(self.size.width))
        self.refresh(layout=True)
        return self.look

    def _columns(self, width: int) -> int:
        """The number of columns for as few rows as possible, evenly filled."""
        max_columns = max(1, min(len(self._views), width // CARD_WIDTH))
        rows = -(-len(self._views) // max_columns)
        return -(-len(self._views) // max(1, rows)) or 1

    def _fitting(self, width: int) -> CardsLook:
        """The look that fits: rows if cards take more than half of the screen, one line if rows do."""
        if self.look != "auto":
            return self.look if self.look != "cards" or width >= CARD_WIDTH else "rows"
        half = max(CARD_HEIGHT, self.app.size.height // 2 - 1)
        deep = -(-len(self._views) // self._columns(width)) * CARD_HEIGHT
        if width >= CARD_WIDTH and deep <= half:
            return "cards"
        return "rows" if len(self._views) <= half else "line"

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """The height of the cards."""
        del container, viewport
        return max(1, len(self._laid_out(width)))

    def _laid_out(self, width: int) -> list[Line]:
        if not self._views:
            return [fit(line, width) for line in self._none_lines()]
        look = self._fitting(width)
        if look == "line":
            return overview(self._views, width)
        if look == "rows":
            names = max(len(short_name(view.reading.gpu.name)) for view in self._views)
            return [row(view, width, min(names, 24)) for view in self._views]
        columns = self._columns(width)
        size, wider = divmod(width, columns)
        lines: list[Line] = []
        for start in range(0, len(self._views), columns):
            row_of_cards = self._views[start : start + columns]
            cards = [card(view, size + (place < wider)) for place, view in enumerate(row_of_cards)]
            for number in range(CARD_HEIGHT):
                runs: list[Run] = [run for card_lines in cards for run in card_lines[number]]
                lines.append(fit(runs, width))
        return lines

    def _none_lines(self) -> Sequence[Line]:
        if self._inventory.reason == "looking for GPUs":
            return [(Run(" Looking for GPUs…", "dim"),), ()]
        fix = self._inventory.fix
        return [
            (Run(" No GPUs detected", "lost"), Run(f": {self._inventory.why_none}")),
            (Run(f" {fix}. F5 looks again." if fix else " F5 looks again.", "dim"),),
        ]

    def on_resize(self) -> None:
        """Lay out for the new width."""
        self.draw(self._laid_out(self.size.width))
        self.refresh()
