"""A watch goes on, whatever goes wrong in a look."""

import logging
import threading
from collections.abc import Callable

import pytest

from gputui.controller.watch.watcher import Watcher


def wait_for(condition: Callable[[], object], limit_s: float = 5.0) -> None:
    end = threading.Event()
    for _ in range(int(limit_s / 0.01)):
        if condition():
            return
        end.wait(0.01)
    raise AssertionError("it did not come to be")


class Looks:
    """Fails as long as `broken` is set."""

    def __init__(self) -> None:
        self.broken = threading.Event()
        self.done = 0

    def look(self) -> float:
        if self.broken.is_set():
            raise TypeError("no such thing")
        self.done += 1
        return 0.01


@pytest.fixture
def looks() -> Looks:
    return Looks()


def test_a_look_that_fails_is_a_fault_until_one_succeeds(looks: Looks, caplog: pytest.LogCaptureFixture) -> None:
    watcher = Watcher("things", looks.look)
    caplog.set_level(logging.WARNING)
    looks.broken.set()
    watcher.start()
    wait_for(lambda: watcher.fault)
    fault = watcher.fault
    assert fault is not None and fault.name == "things" and "TypeError" in fault.error
    looks.broken.clear()
    wait_for(lambda: watcher.fault is None and looks.done > 1)
    watcher.close()
    assert [record.getMessage() for record in caplog.records] == [
        "things fails",
        "things works again, after 1 failed looks",
    ]


def test_a_fault_keeps_the_time_of_the_first_failure(looks: Looks) -> None:
    watcher = Watcher("things", looks.look)
    looks.broken.set()
    watcher.start()
    wait_for(lambda: watcher.fault)
    first = watcher.fault
    wait_for(lambda: watcher.fault is not first)
    assert first is not None and watcher.fault is not None and watcher.fault.since == first.since
    watcher.close()


def test_a_watcher_is_woken_before_its_time() -> None:
    looked = threading.Semaphore(0)

    def look() -> None:
        looked.release()

    watcher = Watcher("things", look)
    watcher.start()
    assert looked.acquire(timeout=5)
    assert not looked.acquire(timeout=0.05), "None: not before it is woken"
    watcher.wake()
    assert looked.acquire(timeout=5)
    watcher.close()
    assert watcher.is_closed
