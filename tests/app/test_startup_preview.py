"""The GPUs are shown before Textual is loaded, and the terminal is restored if the app never starts."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from gputui.app.terminal.startup_preview import StartupPreview, preview_lines
from gputui.domain.gpu import Gpu, GpuInventory, Reading
from tests.app.test_end_of_session import Session

GPU = Gpu(index=0, uuid="GPU-0", name="NVIDIA H100 80GB HBM3", memory_total_mib=81559)
READING = Reading(
    gpu=GPU, taken_at=0, memory_total_mib=81559, memory_used_mib=52_000, utilization_percent=93, temperature_c=61,
    power_w=412, power_limit_w=700,
)  # fmt: skip
SCREEN_FAILS = """
import sys, time
class Slow:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "textual":
            time.sleep({seconds})
            raise ImportError("it is broken")
sys.meta_path.insert(0, Slow())
from gputui.__main__ import main
sys.argv = ["gputui", "--demo"]
main()
"""
"""The app takes this long to load, and then fails."""


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """A terminal of 24 rows and 80 columns: the end to read from, and the terminal itself."""
    reader, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    yield reader, terminal
    os.close(reader)
    os.close(terminal)


def read_until(reader: int, marker: bytes) -> bytes:
    """Read until the marker; a terminal delivers output in pieces of any size."""
    raw = b""
    while marker not in raw and select.select([reader], [], [], 20.0)[0]:
        raw += os.read(reader, 65536)
    return raw


def test_a_gpu_is_a_line_of_its_values() -> None:
    (line,) = preview_lines(GpuInventory(gpus=(GPU,)), [READING])
    assert line.split() == ["0", "H100", "80GB", "51/80", "GiB", "93%", "61", "C", "412/700W"]


def test_a_lost_gpu_says_why() -> None:
    (line,) = preview_lines(GpuInventory(gpus=(GPU,)), [replace(READING, state="lost", reason="Xid 79")])
    assert line.split()[3:] == ["LOST", "Xid", "79"]


def test_without_gpus_it_is_said_why() -> None:
    (line,) = preview_lines(GpuInventory(reason="looking for GPUs"), [])
    assert line == " looking for GPUs"


def test_gpus_are_drawn_before_the_screen_and_one_that_fails_leaves_the_terminal_whole() -> None:
    session = Session("-c", SCREEN_FAILS.format(seconds=2), marker=b"please report it")
    assert session.raw.index(b"\x1b[?1049h") < session.raw.index(b"H100") < session.raw.index(b"\x1b[?1049l")
    assert b"\x1b[?25h" in session.raw, "the cursor is shown"
    assert session.status() == 70


@pytest.mark.parametrize("ending", ["SIGTERM", "SIGHUP"])
def test_ended_before_the_screen_is_there_the_terminal_is_whole(ending: str, ends: tuple[int, int]) -> None:
    reader, terminal = ends
    attributes = termios.tcgetattr(terminal)
    with started(SCREEN_FAILS.format(seconds=60), terminal) as process:
        read_until(reader, b"H100")
        process.send_signal(getattr(signal, ending))
        assert process.wait(10) == 0
    assert read_until(reader, b"\x1b[?1049l").endswith(b"\x1b[2J\x1b[H\x1b[?25h\x1b[?1049l")
    assert termios.tcgetattr(terminal) == attributes


def started(script: str, terminal: int) -> "subprocess.Popen[bytes]":
    """Start it not as session leader, at whose end the system drops pending output."""
    environment = {**os.environ, "TERM": "xterm"}
    command = [sys.executable, "-c", script]
    return subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment)


INTERRUPTED = """
import sys
import textual.app
def broken(self, *rest, **more):
    raise {error}
textual.app.App._init_mode = textual.app.App.run_async = broken
from gputui.__main__ import main
sys.argv = ["gputui", "--demo"]
main()
"""


@pytest.mark.parametrize(("error", "code"), [("KeyboardInterrupt", 130), ("RuntimeError('it is broken')", 70)])
def test_a_screen_that_fails_before_it_has_the_terminal_leaves_it_whole(error: str, code: int) -> None:
    session = Session("-c", INTERRUPTED.format(error=error), marker=b"\x1b[?1049l")
    assert session.raw.count(b"\x1b[?1049h") == session.raw.count(b"\x1b[?1049l") == 1
    assert b"\x1b[?25h" in session.raw
    assert session.status() == code


def test_a_terminal_that_takes_nothing_does_not_keep_it_alive(ends: tuple[int, int]) -> None:
    _, terminal = ends
    fill(terminal)
    with started(SCREEN_FAILS.format(seconds=60), terminal) as process:
        time.sleep(2.0)
        process.terminate()
        assert process.wait(10) in (0, -signal.SIGTERM)


def fill(terminal: int) -> None:
    os.set_blocking(terminal, False)
    with suppress(BlockingIOError):
        while True:
            os.write(terminal, b"x" * 64)
    os.set_blocking(terminal, True)


def test_keys_are_not_echoed_over_the_lines() -> None:
    session = Session("-c", SCREEN_FAILS.format(seconds=3), marker=b"H100")
    os.write(session.terminal, b"zzz")
    session.read(10.0, marker=b"please report it")
    assert b"zzz" not in session.raw
    assert session.status() == 70


def test_a_name_with_control_characters_cannot_move_the_cursor(ends: tuple[int, int]) -> None:
    reader, terminal = ends
    hostile = replace(READING, gpu=replace(GPU, name="H100\x1b[2J\x9b31m\x07"))
    with StartupPreview(terminal, "gputui", lambda: (GpuInventory(gpus=(GPU,)), [hostile])) as preview:
        preview.draw()
        raw = read_until(reader, b"\x1b[J")
    assert b"H100" in raw
    assert b"[2J" not in raw and b"\x07" not in raw and b"\x9b" not in raw
