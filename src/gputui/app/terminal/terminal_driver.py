"""A driver for terminals that may stall, for example over a slow connection."""

from textual.drivers.linux_driver import LinuxDriver

from gputui.app.terminal.startup_preview import CLEARED
from gputui.app.terminal.textual_internals import queued_writes

WAITING_WRITES = 6
"""Queued writes before frames are dropped; a frame is three writes if the terminal supports synchronized output (DEC
mode 2026), else one."""
MAX_WAITING = 15
"""Maximum number of queued writes of any kind. Textual blocks at thirty, and would no longer react to keys and
signals."""


class TerminalDriver(LinuxDriver):
    """Never blocks on the terminal, except to restore it at exit."""

    _leaving = False

    @property
    def is_behind(self) -> bool:
        """Whether the terminal does not keep up with the output."""
        return queued_writes(self) > WAITING_WRITES

    def write(self, data: str) -> None:
        """Write, unless too many writes are queued."""
        if self._leaving or queued_writes(self) < MAX_WAITING:
            super().write(data)

    def stop_application_mode(self) -> None:
        """Restore the terminal."""
        self._leaving = True
        self.write(CLEARED)
        super().stop_application_mode()
        self._leaving = False
