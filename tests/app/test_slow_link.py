"""A stalled connection: frames are dropped, keys still work, and then the newest frame is shown."""

import os
import signal
import time

import pytest

from tests.app.test_end_of_session import Session

FULL_PICTURE = 5_000
"""Minimum bytes of a full frame; here it has some 10 000."""


def test_what_is_drawn_while_nothing_is_taken_is_dropped_and_the_newest_comes_after() -> None:
    session = Session()
    session.read(2.0)
    session.raw = b""
    for _ in range(60):
        os.write(session.terminal, b"\x0c")  # redraws the whole screen
        time.sleep(0.02)
    os.write(session.terminal, b"o")
    time.sleep(1.0)
    session.read(30.0, marker=b"[Processes]")
    assert len(session.raw) < 40 * FULL_PICTURE
    assert b"[Processes]" in session.raw
    os.close(session.terminal)
    assert session.status() == 0


@pytest.mark.parametrize("pictures", [7, 120])
@pytest.mark.parametrize("ending", ["SIGTERM", "q", "q and SIGTERM"])
def test_a_session_whose_line_takes_nothing_can_be_ended(ending: str, pictures: int) -> None:
    session = Session()
    for _ in range(pictures):
        os.write(session.terminal, b"\x0c")
        time.sleep(0.01)
    if "q" in ending:
        os.write(session.terminal, b"q")
        time.sleep(1.0)
    if "SIGTERM" in ending:
        os.kill(session.pid, signal.SIGTERM)
    assert session.status(30.0) == 0
    os.close(session.terminal)
