"""Polls something, whatever goes wrong in a look."""

import logging
import threading
import time
from collections.abc import Callable

from gputui.domain.unexpected import WatchFault, place_of

MOST_PAUSE_S = 5.0
"""The longest pause after a failed look: a recovery has to show within seconds."""

_log = logging.getLogger(__name__)


class Watcher:
    """Calls `look` on a daemon thread of its own, which survives its errors.

    `look` returns the seconds until its next call; None: not before `wake`. A failed look is logged and tried again
    after a pause that grows from one second to five; meanwhile `fault` is set.
    """

    def __init__(self, name: str, look: Callable[[], float | None], *, least_pause_s: float = 0.0) -> None:
        self._name = name
        self._look = look
        self._least_pause_s = least_pause_s
        self._closed = threading.Event()
        self.woken = threading.Event()
        """Set while the next look is requested."""
        self.fault: WatchFault | None = None
        """Why it fails and since when; None while it works."""

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def wake(self) -> None:
        """Look again soon, without waiting for the end of the pause."""
        self.woken.set()

    def close(self) -> None:
        """Stop looking."""
        self._closed.set()
        self.woken.set()

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._closed.is_set()

    def _run(self) -> None:
        failures = 0
        while not self.is_closed:
            self.woken.clear()
            try:
                pause = self._look()
            except Exception as error:  # whatever the error is, the next look may succeed
                failures += 1
                self._note(error, failures)
                self._closed.wait(min(float(failures), MOST_PAUSE_S))
                continue
            if self.fault is not None:
                _log.warning("%s works again, after %d failed looks", self._name, failures)
            failures, self.fault = 0, None
            if self._closed.wait(self._least_pause_s):
                return
            self.woken.wait(None if pause is None else max(0.0, pause - self._least_pause_s))

    def _note(self, error: Exception, failures: int) -> None:
        since = self.fault.since if self.fault is not None else time.time()
        self.fault = WatchFault(self._name, since, place_of(error))
        if failures == 1:  # repeating it every few seconds would flood the log
            _log.error("%s fails", self._name, exc_info=error)


class BackgroundWatch:
    """A watch whose looks a `Watcher` makes."""

    _watcher: Watcher

    def start(self) -> None:
        """Begin."""
        self._watcher.start()

    @property
    def fault(self) -> WatchFault | None:
        """Why it currently fails; None while it works."""
        return self._watcher.fault

    def close(self) -> None:
        """Stop."""
        self._watcher.close()
