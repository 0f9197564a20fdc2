"""Reads the progress of starting services from the ends of their logs."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping

from gputui.controller.watch.watcher import BackgroundWatch, Watcher
from gputui.diagnosis.startup_log import loading_of
from gputui.domain.errors import GputuiError
from gputui.domain.log import Loading
from gputui.domain.text import clean_log_line, moment
from gputui.engine.protocol import Engine

EVERY_S = 2.0
PAUSE_S = 0.2
"""The least time between looks, however often one is requested."""
AT_ONCE = 5
"""Logs without any progress yet that are read per look: after a boot a hundred containers are young."""
SILENT_SHARE = 0.2
"""A log without any progress is read again when its container has run longer by this share: not everything loads, and
what does reports it soon."""
LINES = 60
"""Lines at the end of a log that contain the latest progress; a progress bar is one line."""

_log = logging.getLogger(__name__)


class LoadingWatch(BackgroundWatch):
    """The loading progress of the requested containers, by run. `on_change` is called when that changed."""

    def __init__(self, engine: Engine, on_change: Callable[[], None]) -> None:
        self._engine = engine
        self._on_change = on_change
        self._requested: frozenset[str] = frozenset()
        self._progress: Mapping[str, Loading] = {}
        self._read_at: dict[str, float] = {}
        self._watcher = Watcher("logs of starting services", self._look, least_pause_s=PAUSE_S)

    def want(self, runs: Iterable[str]) -> None:
        """Read the logs of these runs from now on. Once one is ready, its log is not read again."""
        requested = frozenset(runs)
        if requested - self._requested:
            self._watcher.wake()
        self._requested = requested

    def seen(self) -> Mapping[str, Loading]:
        """The known progress, by run."""
        return self._progress

    def _look(self) -> float | None:
        previous, requested, now_s = self._progress, self._requested, time.time()
        self._read_at = {run: read_at for run, read_at in self._read_at.items() if run in requested}
        progress = {run: loading for run, loading in previous.items() if run in requested}
        for run in due(requested, previous, self._read_at, now_s):
            self._read_at[run] = now_s
            loading = self._loading(run)
            progress.pop(run, None)
            if loading is not None:
                progress[run] = loading
        self._progress = progress
        if self._progress != previous:
            self._on_change()
        return EVERY_S if requested else None

    def _loading(self, run: str) -> Loading | None:
        try:
            lines = self._engine.last_log(run.partition(" ")[0], LINES)
        except GputuiError:
            return None
        except Exception as error:  # an error in one log must not hide the others
            _log.warning("the log of container %s cannot be read", run[:12], exc_info=error)
            return None
        return loading_of([clean_log_line(line) for line in lines])


def due(
    runs: Iterable[str], progress: Mapping[str, Loading], looked: Mapping[str, float], now_s: float
) -> tuple[str, ...]:
    """The runs whose logs are due to be read; `looked` is when they were last read, in seconds since 1970.

    Loading services are read every time. Of those without any progress, the ones never read come first, youngest first,
    then those that have waited longest for their age.
    """
    loading = [run for run, loading_state in progress.items() if run in runs and loading_state.phase != "ready"]
    never = sorted(
        (run for run in runs if run not in progress and run not in looked), key=lambda run: -_started(run, now_s)
    )
    waiting = {
        run: _waiting(run, read_at, now_s) for run, read_at in looked.items() if run in runs and run not in progress
    }
    silent = [*never, *sorted((run for run in waiting if waiting[run] >= 1), key=lambda run: -waiting[run])]
    return (*loading, *silent[:AT_ONCE])


def _waiting(run: str, looked: float, now_s: float) -> float:
    """The time since it was last read, as a fraction of the interval at which it has to be read."""
    return (now_s - looked) / max(EVERY_S, SILENT_SHARE * (looked - _started(run, looked)))


def _started(run: str, otherwise: float) -> float:
    """When it started, in seconds since 1970."""
    started = moment(run.partition(" ")[2])
    return otherwise if started is None else started
