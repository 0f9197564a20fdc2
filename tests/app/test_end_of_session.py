"""However a session ends, the process exits and the terminal is restored."""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path

import pytest


class Session:
    """gputui on a pseudo-terminal."""

    def __init__(self, *command: str, marker: bytes = b"SERVICE") -> None:
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
            os.execv(sys.executable, [sys.executable, *(command or ("-m", "gputui", "--demo"))])
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.raw = b""
        self.read(20.0, marker=marker)

    def read(self, limit_s: float, marker: bytes = b"\0never\0") -> None:
        end = time.monotonic() + limit_s
        while (remaining_s := end - time.monotonic()) > 0 and marker not in self.raw:
            if select.select([self.terminal], [], [], remaining_s)[0]:
                try:
                    self.raw += os.read(self.terminal, 65536)
                except OSError:
                    return

    def end(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def status(self, limit_s: float = 15.0) -> int:
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.05)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError("the process is still there")


@pytest.fixture
def log_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("GPUTUI_STATE_DIR", str(tmp_path))
    return tmp_path / f"log-{os.getuid()}.txt"


@pytest.mark.parametrize("ending", ["q", "SIGTERM", "SIGHUP"])
def test_the_terminal_is_whole_again(ending: str) -> None:
    session = Session()
    if ending == "q":
        os.write(session.terminal, b"q")
    else:
        session.end(getattr(signal, ending))
    session.read(10.0, marker=b"\x1b[?1049l")
    session.read(1.0)
    assert b"\x1b[?1049l" in session.raw, "the screen of before is back"
    cleared, exit_place = session.raw.index(b"\x1b[0m\x1b[2J\x1b[H"), session.raw.index(b"\x1b[?1049l")
    assert cleared < exit_place, "a terminal without a second screen shows nothing of it"
    assert b"\x1b[?1003l" in session.raw, "the mouse is let go"
    assert b"\x1b[?25h" in session.raw, "the cursor is shown"
    assert session.status() == 0
    os.close(session.terminal)


CRASH = """
import sys
import gputui.app.app
def crash(self, *_):
    token = "s3cret"
    try:
        raise ValueError("HF_TOKEN=" + token)
    except ValueError as error:
        raise AttributeError("hostile \\x1b]0;title\\x07 " + str(len(token))) from error
gputui.app.app.GputuiApp.%s = crash
from gputui.__main__ import main
sys.argv = ["gputui", "--demo"]
main()
"""


def test_a_command_that_fails_ends_itself_only_and_is_written_down(log_file: Path) -> None:
    session = Session("-c", CRASH % "action_repaint")
    os.write(session.terminal, b"\x0c")
    session.read(10.0, marker=b"unexpected error")
    os.write(session.terminal, b"?")
    session.read(10.0, marker=b"esc")
    os.write(session.terminal, b"\x1b")
    session.read(1.0)
    os.write(session.terminal, b"q")
    session.read(1.0)
    assert session.status() == 0
    text = log_file.read_text()
    assert "AttributeError: hostile" in text and "ValueError (its message is left out" in text
    assert "\x1b" not in text and "s3cret" not in text
    assert log_file.stat().st_mode & 0o777 == 0o600
    os.close(session.terminal)


def test_an_error_of_its_own_leaves_the_terminal_whole_and_tells_no_secret(log_file: Path) -> None:
    session = Session("-c", CRASH % "on_mount")
    session.read(10.0, marker=b"please report it")
    session.read(0.5)
    assert session.status() == 70
    shell_output = session.raw.partition(b"\x1b[?1049l")[2]
    assert b"\x1b[?25h" in session.raw
    assert b"AttributeError" in shell_output and str(log_file).encode() in shell_output.replace(b"\r\n", b"")
    assert b"\x1b]0;" not in shell_output and b"s3cret" not in shell_output
    assert "ValueError (its message is left out" in log_file.read_text()
    os.close(session.terminal)


def test_a_process_whose_terminal_is_gone_does_not_stay() -> None:
    session = Session()
    os.close(session.terminal)
    assert session.status() == 0
