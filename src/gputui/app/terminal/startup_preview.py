"""A preview of the GPUs in plain lines, while Textual is still being imported."""

import os
import select
import signal
import termios
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

from gputui.app.render.values import amounts, power, short_name, utilization
from gputui.domain.gpu import GpuInventory, Reading
from gputui.domain.text import clean

OPEN = "\x1b[?1049h\x1b[?25l"
CLEARED = "\x1b[0m\x1b[2J\x1b[H"
"""Clears terminals without an alternate screen, such as mosh and the Linux console, where the preview would stay;
invisible on others."""
LEAVE = f"{CLEARED}\x1b[?25h\x1b[?1049l"
ENDS = (signal.SIGTERM, signal.SIGHUP)
BLOCKED_S = 0.5
"""How long to wait at most for a terminal that accepts no output."""
PIECE = 128
"""Bytes that a writable terminal accepts at once: Linux reports it as writable from 256 free bytes on."""

GpuSource = Callable[[], tuple[GpuInventory, Sequence[Reading]]]


def terminal() -> int | None:
    """The file descriptor of the terminal, if there is one that can show a screen."""
    is_there = os.environ.get("TERM", "dumb") != "dumb" and os.isatty(1) and os.isatty(2)
    return 1 if is_there else None


class StartupPreview:
    """Draws the readings of `source` until the terminal is handed over to the app, which draws over them. If it never
    is, the terminal is restored. Without a terminal nothing is drawn.

    Only ASCII in the default colours: theme and settings are not read yet.
    """

    def __init__(self, descriptor: int | None, title: str, source: GpuSource) -> None:
        self._terminal = descriptor
        self._title = title
        self._source = source
        self._lock = threading.Lock()
        self._is_ours = False
        self._attributes: list[Any] = []

    def __enter__(self) -> "StartupPreview":
        if self._terminal is not None:
            self._attributes = termios.tcgetattr(self._terminal)
            for number in ENDS:
                signal.signal(number, self._end)
            self._quieten()
            self._is_ours = True
            self._write(OPEN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_ours:
            self.hand_over()
            self._write(LEAVE, BLOCKED_S)

    def _quieten(self) -> None:
        """Disable echo, and the quit and suspend keys; ctrl+c still works."""
        quiet = [*self._attributes[:6], [*self._attributes[6]]]
        quiet[3] &= ~termios.ECHO
        for key in (termios.VQUIT, termios.VSUSP):
            quiet[6][key] = b"\0"
        self._set(quiet)

    def _set(self, attributes: list[Any]) -> None:
        with suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(self._terminal or 0, termios.TCSANOW, attributes)

    def _end(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._is_ours = False
        self._lock.acquire(timeout=BLOCKED_S)  # finish a frame in progress first
        self._set(self._attributes)
        self._write(LEAVE, BLOCKED_S)
        os._exit(0)

    def draw(self) -> None:
        """Draw the current readings; may be called from any thread."""
        with self._lock, suppress(OSError):
            if self._is_ours and self._terminal is not None:
                size = os.get_terminal_size(self._terminal)
                lines = [clean(line, 1000) for line in (f" {self._title}", *preview_lines(*self._source()))]
                rows = (f"{line[: size.columns]}\x1b[K" for line in lines[: size.lines])
                self._write("\x1b[H" + "\r\n".join(rows) + "\x1b[J")

    def hand_over(self) -> None:
        """Release the terminal to the app."""
        if not self._is_ours:
            return
        acquired = self._lock.acquire(timeout=BLOCKED_S)
        self._is_ours = False
        if acquired:
            self._lock.release()
        self._set(self._attributes)
        for number in ENDS:
            signal.signal(number, signal.SIG_DFL)

    def _write(self, text: str, wait_s: float = 0.0) -> None:
        """Write as much as the terminal accepts within `wait_s`."""
        raw = text.encode("ascii", "replace")
        with suppress(OSError):
            for place in range(0, len(raw), PIECE):
                if self._terminal is None or not select.select([], [self._terminal], [], wait_s)[1]:
                    return
                os.write(self._terminal, raw[place : place + PIECE])


def preview_lines(inventory: GpuInventory, readings: Sequence[Reading]) -> list[str]:
    """A line for each GPU, or the reason why there is none."""
    if not readings:
        return [f" {inventory.reason or ''}"]
    names = max(len(short_name(reading.gpu.name)) for reading in readings)
    return [_line(reading, names) for reading in readings]


def _line(reading: Reading, names: int) -> str:
    head = f" {reading.gpu.label:>4} {short_name(reading.gpu.name):{names}}"
    if reading.state != "ok":
        return f"{head}  {reading.state.upper()} {reading.reason or ''}"
    degrees = "n/a" if reading.temperature_c is None else f"{reading.temperature_c} C"
    return f"{head} {amounts(reading):>8} GiB {utilization(reading)} {degrees:>6} {power(reading):>9}"
