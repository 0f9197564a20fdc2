"""Writing to a terminal that may take nothing for a while, as over a line that is stalled."""

from textual.drivers.linux_driver import LinuxDriver

from gputui.app.terminal.startup_preview import CLEARED

WAITING_WRITES = 6
"""Writes that may wait before frames are dropped; a frame is three of them where the terminal knows synchronized
output (DEC mode 2026), else one."""
MOST_WAITING = 15
"""Writes that may wait of any kind: bells, titles, notifications. Textual lets thirty wait and then waits itself, so
that no key and no signal would count any more."""


class TerminalDriver(LinuxDriver):
    """Never waits for the terminal, except to leave it as it was."""

    _leaving = False

    @property
    def is_behind(self) -> bool:
        """Whether the terminal, or the line to it, does not take what was written."""
        return self._waiting() > WAITING_WRITES

    def _waiting(self) -> int:
        return self._writer_thread._queue.qsize() if self._writer_thread is not None else 0

    def write(self, data: str) -> None:
        """Write, unless too much waits already."""
        if self._leaving or self._waiting() < MOST_WAITING:
            super().write(data)

    def stop_application_mode(self) -> None:
        """Leave the terminal as it was."""
        self._leaving = True
        self.write(CLEARED)
        super().stop_application_mode()
        self._leaving = False
