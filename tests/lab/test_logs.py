"""Logs of a real engine, as they are read for the screen."""

import time
from collections.abc import Iterator

import pytest

from gputui.controller.local_logs import BUFFER_LINES, LogFeed
from gputui.domain.log import LogLine, LogWindow
from gputui.engine.docker_engine import DockerEngine
from tests.lab.conftest import Lab
from tests.lab.driver import uuid_of

pytestmark = pytest.mark.lab
LINES = 200_000


@pytest.fixture
def engine(lab: Lab) -> Iterator[DockerEngine]:
    one = DockerEngine(f"unix://{lab.engine.socket}")
    yield one
    one.close()


def read_to_the_end(feed: LogFeed, pause_s: float) -> tuple[list[LogLine], int]:
    """All lines that were not dropped, and how many were."""
    lines, dropped, until = list[LogLine](), 0, time.monotonic() + 60
    while time.monotonic() < until:
        batch = feed.take()
        lines += batch.lines
        dropped += batch.dropped
        if batch.ended:
            return lines, dropped
        time.sleep(pause_s)
    raise AssertionError("it never ended")


def test_of_a_flood_nothing_is_dropped_uncounted(lab: Lab, engine: DockerEngine) -> None:
    lab.engine.run("flood", [uuid_of(0)], command=["sh", "-c", f"seq 1 {LINES}"])
    lines, dropped = read_to_the_end(LogFeed(engine, "flood", LogWindow(tail=None)), pause_s=2.0)
    assert len(lines) + dropped == LINES
    assert dropped > 0, "it was no flood"
    assert [int(line.text) for line in lines[-BUFFER_LINES // 2 :]] == list(
        range(LINES - BUFFER_LINES // 2 + 1, LINES + 1)
    )


def test_each_line_has_its_stream_and_its_time(lab: Lab, engine: DockerEngine) -> None:
    lab.engine.run(
        "both", [uuid_of(0)], command=["sh", "-c", "echo one; sleep 0.2; echo two >&2; sleep 0.2; printf three"]
    )
    # An engine may leave out of a log that is followed what a container writes as it ends without a line's end.
    lab.engine.client().containers.get("both").wait()
    lines, dropped = read_to_the_end(LogFeed(engine, "both", LogWindow(tail=None)), pause_s=0.05)
    assert [(line.text, line.stream) for line in lines] == [("one", "stdout"), ("two", "stderr"), ("three", "stdout")]
    assert [line.at for line in lines] == sorted(line.at or "" for line in lines)
    assert dropped == 0
