"""Runs a full-screen program on a pseudo-terminal and measures it from outside."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run took; `first_s` is the time from exec to the text that was waited for, `whole_s` that to the text by
    which the whole screen is known, `paint_p95_ms` the time from a key to what is drawn next, which nineteen of twenty
    keys take at most."""

    first_s: float | None
    cpu_percent: float
    memory_mib: float
    bytes_per_s: float
    paint_p95_ms: float | None = None
    whole_s: float | None = None


KEYS = 40
LETTERS, ARROWS = (b"j", b"k"), (b"\x1b[B", b"\x1b[A")


def measure(
    command: Sequence[str],
    first_text: bytes,
    *,
    settle_s: float,
    window_s: float,
    keys: tuple[bytes, bytes] | None = None,
    first_keys: bytes = b"",
    whole_text: bytes | None = None,
) -> Measured:
    """Start the program, let it settle, type `first_keys`, then count CPU and bytes for a while; then press the keys in
    turn, there and back again, so that each changes what is seen.

    CPU and memory are those of the whole process tree, from /proc. Questions of the program to the terminal (cursor
    position, device attributes, synchronized output) are answered as a terminal does.
    """
    began = time.monotonic()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
        os.execvp(command[0], list(command))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
    at: dict[bytes, float | None] = {text: None for text in (first_text, whole_text) if text is not None}
    seen = b""

    def read_until(moment: float) -> int:
        nonlocal seen
        count = 0
        while (left := moment - time.monotonic()) > 0:
            ready, _, _ = select.select([terminal], [], [], left)
            if not ready:
                break
            try:
                chunk = os.read(terminal, 65536)
            except OSError:
                break
            count += len(chunk)
            _answer(terminal, chunk)
            missing = [text for text, when in at.items() if when is None]
            if missing:
                seen = (seen + chunk)[-200_000:]
                plain = _plain(seen)
                at.update({text: time.monotonic() - began for text in missing if text in plain})
        return count

    read_until(began + settle_s)
    for byte in first_keys:
        os.write(terminal, bytes((byte,)))
        read_until(time.monotonic() + 0.5)
    cpu = cpu_s(pid)
    start = time.monotonic()
    count = read_until(start + window_s)
    lasted = time.monotonic() - start
    cpu_percent, memory = 100 * (cpu_s(pid) - cpu) / lasted, _memory_mib(pid)
    paints = []
    for key in (keys or ()) * (KEYS // 2):
        read_until(time.monotonic() + 0.1)
        pressed = time.monotonic()
        os.write(terminal, key)
        if select.select([terminal], [], [], 2.0)[0]:
            paints.append(1000 * (time.monotonic() - pressed))
    p95 = sorted(paints)[int(0.95 * (len(paints) - 1))] if paints else None
    result = Measured(at[first_text], cpu_percent, memory, count / lasted, p95, at[whole_text] if whole_text else None)
    os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + 3
    while time.monotonic() < until and os.waitpid(pid, os.WNOHANG) == (0, 0):
        read_until(time.monotonic() + 0.1)
    if Path(f"/proc/{pid}/stat").exists():
        os.kill(pid, signal.SIGKILL)
    os.close(terminal)
    return result


def _plain(raw: bytes) -> bytes:
    return re.sub(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)", b"", raw)


def _answer(terminal: int, chunk: bytes) -> None:
    for question, answer in (
        (b"\x1b[6n", b"\x1b[1;1R"),
        (b"\x1b[c", b"\x1b[?62c"),
        (b"\x1b[?2026$p", b"\x1b[?2026;2$y"),
    ):
        if question in chunk:
            os.write(terminal, answer)


def _tree(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        try:
            children = Path(f"/proc/{one}/task/{one}/children").read_text().split()
        except OSError:
            continue
        found += [int(child) for child in children]
    return found


def cpu_s(pid: int) -> float:
    """Seconds of CPU that this process and its children took so far."""
    total = 0
    for one in _tree(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def _memory_mib(pid: int) -> float:
    total = 0
    for one in _tree(pid):
        try:
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1])
        except OSError:
            continue
    return total * PAGE / 2**20
