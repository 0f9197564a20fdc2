"""The GPUs in plain lines, while the screen itself is still being loaded."""

import os
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType, TracebackType

from gputui.app.gpu_card import amounts, power, short_name, utilization
from gputui.domain.gpu import GpuInventory, Reading

OPEN = "\x1b[?1049h\x1b[?25l"
LEAVE = "\x1b[?25h\x1b[?1049l"
ENDS = (signal.SIGTERM, signal.SIGHUP)
BLOCKED_S = 0.5
"""How long the screen waits at most for a line that a terminal does not take."""


class FirstLines:
    """Draws on the terminal from entering it until it is handed over to the screen, which draws over it; leaves the
    terminal as it was, if that does not come to it. Without a `terminal` (a file descriptor) it draws nothing.

    Only ASCII in the terminal's own colours: a person's theme and settings are not read yet.
    """

    def __init__(self, terminal: int | None) -> None:
        self._terminal = terminal
        self._lock = threading.Lock()
        self._is_ours = False

    def __enter__(self) -> "FirstLines":
        if self._terminal is not None:
            for number in ENDS:
                signal.signal(number, self._end)
            self._is_ours = True
            self._write(OPEN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._is_ours:
            self.hand_over()
            self._write(LEAVE)

    def _end(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._write(LEAVE)
        os._exit(0)

    def draw(self, inventory: GpuInventory, readings: Sequence[Reading]) -> None:
        """What is known now; from any thread."""
        with self._lock:
            if self._is_ours and self._terminal is not None:
                size = os.get_terminal_size(self._terminal)
                lines = first_lines(inventory, readings)[: size.lines]
                self._write("\x1b[H" + "\r\n".join(f"{line[: size.columns]}\x1b[K" for line in lines) + "\x1b[J")

    def hand_over(self) -> None:
        """From now on the terminal is another's."""
        taken = self._lock.acquire(timeout=BLOCKED_S)
        self._is_ours = False
        if taken:
            self._lock.release()

    def _write(self, text: str) -> None:
        if self._terminal is not None:
            with suppress(OSError):  # a terminal that is gone
                os.write(self._terminal, text.encode("ascii", "replace"))


def first_lines(inventory: GpuInventory, readings: Sequence[Reading]) -> list[str]:
    """A title, and a line for each GPU."""
    if not readings:
        return [" gputui", f" {inventory.reason or ''}"]
    names = max(len(short_name(one.gpu.name)) for one in readings)
    return [" gputui", *(_line(one, names) for one in readings)]


def _line(reading: Reading, names: int) -> str:
    head = f" {reading.gpu.label:>4} {short_name(reading.gpu.name):{names}}"
    if reading.state != "ok":
        return f"{head}  {reading.state.upper()} {reading.reason or ''}"
    degrees = "n/a" if reading.temperature_c is None else f"{reading.temperature_c} C"
    return f"{head} {amounts(reading):>8} GiB {utilization(reading)} {degrees:>6} {power(reading):>9}"
