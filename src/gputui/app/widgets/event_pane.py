"""What happened while the screen was there."""

import time
from collections import deque

from rich.text import Text

from gputui.app.columns import Column, Row
from gputui.app.happenings import Happening
from gputui.app.widgets.finding_line import MARKS
from gputui.app.widgets.table_pane import TablePane

KEPT = 500
COLUMNS = (
    Column(title=" ", width=1),
    Column(title="WHEN", width=8),
    Column(title="ABOUT", width=16),
    Column(title="WHAT", width=40, grows=True),
)
_SEVERITY = {"information": "info", "warning": "warning", "error": "error"}


class EventPane(TablePane):
    """The newest first."""

    def __init__(self, **options: str) -> None:
        super().__init__(COLUMNS, **options)
        self._rows: deque[Row] = deque(maxlen=KEPT)
        self._count = 0

    def add(self, happening: Happening) -> None:
        """One more."""
        self._count += 1
        cells = {
            " ": Text(MARKS[_SEVERITY[happening.severity]]),
            "WHEN": Text(time.strftime("%H:%M:%S")),
            "ABOUT": Text(happening.about),
            "WHAT": Text(happening.text),
        }
        self._rows.appendleft(Row(key=str(self._count), cells=cells, sort={"WHEN": self._count}))

    def show(self) -> None:
        """Bring the table in line."""
        self.show_rows("since the screen was opened" if self._rows else "nothing happened so far", list(self._rows))
