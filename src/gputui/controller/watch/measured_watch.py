"""Reads the memory use that a serving program reports, once per start, from the beginning of its log."""

import logging
import threading
import time
from collections.abc import Callable, Mapping

from gputui.controller.watch.watcher import BackgroundWatch, Watcher
from gputui.diagnosis.startup_log import measured_of
from gputui.domain.errors import GputuiError
from gputui.domain.log import LogWindow
from gputui.domain.observation import Measured, PeakKey
from gputui.domain.text import clean_log_line, moment
from gputui.engine.log_frames import LogFrames, split_time
from gputui.engine.protocol import Engine

LINES = 5000
"""The most lines read per start: the memory use is reported before the first request is served."""
LIMIT_S = 5.0
"""The most seconds spent reading one log."""

_log = logging.getLogger(__name__)


class MeasuredWatch(BackgroundWatch):
    """What the requested containers reported, by the key that it applies to. `on_change` is called when there is
    something new."""

    def __init__(self, engine: Engine, on_change: Callable[[], None]) -> None:
        self._engine = engine
        self._on_change = on_change
        self._requested: Mapping[str, PeakKey] = {}
        self._read: set[str] = set()
        self._new: dict[PeakKey, Measured] = {}
        self._lock = threading.Lock()
        self._watcher = Watcher("logs of services that have loaded", self._look, least_pause_s=0.5)
        self._idle = threading.Event()
        self._idle.set()

    def want(self, runs: Mapping[str, PeakKey]) -> None:
        """Read the logs of these runs, each once; the values are the keys that they apply to."""
        with self._lock:
            new, self._requested = runs.keys() - self._requested.keys() - self._read, dict(runs)
            if new:
                self._idle.clear()
                self._watcher.wake()

    def wait(self, limit_s: float) -> None:
        """Wait until the requested logs are read, at most `limit_s`."""
        self._idle.wait(limit_s)

    def take(self) -> dict[PeakKey, Measured]:
        """What was read since the last call."""
        with self._lock:
            measured, self._new = self._new, {}
        return measured

    def _look(self) -> float | None:
        with self._lock:
            requested = self._requested
            self._read &= requested.keys()
        for run in [run for run in requested if run not in self._read]:
            try:
                measured = self._measured(run)
            finally:
                self._read.add(run)
            if measured is not None:
                with self._lock:
                    self._new[requested[run]] = measured
                self._on_change()
        with self._lock:
            if self._requested.keys() <= self._read:
                self._idle.set()
        return None

    def _measured(self, run: str) -> Measured | None:
        identity, _, started = run.partition(" ")
        since = moment(started)
        try:
            stream = self._engine.follow_log(identity, LogWindow(tail=None, since=since, follow=False))
        except GputuiError:
            return None
        until, frames, lines = time.monotonic() + LIMIT_S, LogFrames(), []
        try:
            for chunk in stream:
                lines += [split_time(line)[1] for _, line in frames.feed(chunk)]
                if len(lines) > LINES or time.monotonic() > until:
                    break
        except GputuiError:
            pass  # what arrived so far may be enough
        except Exception as error:  # an error in one log must not hide the others
            _log.warning("the log of container %s cannot be read", identity[:12], exc_info=error)
        finally:
            stream.close()
        lines += [split_time(line)[1] for _, line in frames.end()]
        return measured_of([clean_log_line(line) for line in lines[:LINES]])
