"""However a session ends, the process ends too, and a terminal that is still there is whole again."""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

import pytest


class Session:
    """gputui on a pseudo-terminal."""

    def __init__(self, *command: str, until: bytes = b"SERVICE") -> None:
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
            os.execv(sys.executable, [sys.executable, *(command or ("-m", "gputui", "--demo"))])
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.raw = b""
        self.read(20.0, until=until)

    def read(self, limit_s: float, until: bytes = b"\0never\0") -> None:
        end = time.monotonic() + limit_s
        while (left := end - time.monotonic()) > 0 and until not in self.raw:
            if select.select([self.terminal], [], [], left)[0]:
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


@pytest.mark.parametrize("how", ["q", "SIGTERM", "SIGHUP"])
def test_the_terminal_is_whole_again(how: str) -> None:
    session = Session()
    if how == "q":
        os.write(session.terminal, b"q")
    else:
        session.end(getattr(signal, how))
    session.read(10.0, until=b"\x1b[?1049l")
    session.read(1.0)
    assert b"\x1b[?1049l" in session.raw, "the screen of before is back"
    cleared, left = session.raw.index(b"\x1b[0m\x1b[2J\x1b[H"), session.raw.index(b"\x1b[?1049l")
    assert cleared < left, "a terminal without a second screen shows nothing of it"
    assert b"\x1b[?1003l" in session.raw, "the mouse is let go"
    assert b"\x1b[?25h" in session.raw, "the cursor is shown"
    assert session.status() == 0
    os.close(session.terminal)


CRASH = """
import sys
import gputui.app.app
def crash(self):
    token = "s3cret"
    try:
        raise ValueError("HF_TOKEN=" + token)
    except ValueError as error:
        raise AttributeError("hostile \\x1b]0;title\\x07 " + str(len(token))) from error
gputui.app.app.GputuiApp.action_repaint = crash
from gputui.__main__ import main
sys.argv = ["gputui", "--demo"]
main()
"""


def test_an_error_of_its_own_leaves_the_terminal_whole_and_tells_no_secret() -> None:
    session = Session("-c", CRASH)
    os.write(session.terminal, b"\x0c")
    session.read(10.0, until=b"please report these lines")
    session.read(0.5)
    assert session.status() == 1
    after = session.raw.partition(b"\x1b[?1049l")[2]
    assert b"\x1b[?25h" in session.raw
    assert b"AttributeError: hostile" in after and b"ValueError (its message is left out" in after
    assert b"\x1b]0;" not in after and b"s3cret" not in after
    os.close(session.terminal)


def test_a_process_whose_terminal_is_gone_does_not_stay() -> None:
    session = Session()
    os.close(session.terminal)
    assert session.status() == 0
