"""The events pane: notifications since the start."""

import time
from collections import deque

from gputui.app.render.columns import Column, Row, cell
from gputui.app.render.notifications import Notification
from gputui.app.render.styled import CELLS
from gputui.app.widgets.table_pane import TablePane
from gputui.domain.finding import MARKS

LIMIT = 500
COLUMNS = (
    Column(title=" ", width=1),
    Column(title="WHEN", width=8),
    Column(title="ABOUT", width=16),
    Column(title="WHAT", width=40, grows=True),
)
_SEVERITY = {"information": "info", "warning": "warning", "error": "error"}


class EventPane(TablePane):
    """Notifications, newest first."""

    def __init__(self, **options: str) -> None:
        super().__init__(COLUMNS, **options)
        self._rows: deque[Row] = deque(maxlen=LIMIT)
        self._count = 0

    def add(self, notification: Notification) -> None:
        """Add a notification."""
        self._count += 1
        severity = _SEVERITY[notification.severity]
        cells = {
            " ": cell(MARKS[severity], CELLS[severity]),
            "WHEN": cell(time.strftime("%H:%M:%S")),
            "ABOUT": cell(notification.about),
            "WHAT": cell(notification.text),
        }
        self._rows.appendleft(Row(key=str(self._count), cells=cells, sort={"WHEN": self._count}))

    def show(self) -> None:
        """Update the table."""
        self.show_rows("since the screen was opened" if self._rows else "nothing happened so far", list(self._rows))
