"""Reads how far services are that start, from the ends of their logs."""

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
"""From one look to the next, however often it is asked for."""
AT_ONCE = 5
"""So many logs that said nothing yet are read at one look: after a boot a hundred containers are young."""
SILENT_SHARE = 0.2
"""One that has not said a word on the matter is looked at again when it has run longer by this share: not everything
loads, and what does says so soon."""
LINES = 60
"""The end of a log in which the last word on the matter stands; a progress bar is one line."""

_log = logging.getLogger(__name__)


class LoadingWatch(BackgroundWatch):
    """How far the wanted containers are, by their run. `told` is called when that changed."""

    def __init__(self, engine: Engine, on_change: Callable[[], None]) -> None:
        self._engine = engine
        self._on_change = on_change
        self._requested: frozenset[str] = frozenset()
        self._progress: Mapping[str, Loading] = {}
        self._read_at: dict[str, float] = {}
        self._watcher = Watcher("logs of starting services", self._look, least_pause_s=PAUSE_S)

    def want(self, runs: Iterable[str]) -> None:
        """Look at these from now on. One that is ready is not looked at again."""
        requested = frozenset(runs)
        if requested - self._requested:
            self._watcher.wake()
        self._requested = requested

    def seen(self) -> Mapping[str, Loading]:
        """What is known, by run."""
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
        except Exception as error:  # one log that is not understood must not hide the others
            _log.warning("the log of container %s cannot be read", run[:12], exc_info=error)
            return None
        return loading_of([clean_log_line(line) for line in lines])


def due(
    runs: Iterable[str], progress: Mapping[str, Loading], looked: Mapping[str, float], now_s: float
) -> tuple[str, ...]:
    """The runs whose logs are to be read now; `looked` is when they were read last, in seconds since 1970.

    What loads is read every time. Of what has said nothing yet, those that were never read come first, the youngest
    before all, then those that have waited longest for their age.
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
    """For how long it has not been read, as a part of how long it need not be."""
    return (now_s - looked) / max(EVERY_S, SILENT_SHARE * (looked - _started(run, looked)))


def _started(run: str, otherwise: float) -> float:
    """When it started, in seconds since 1970."""
    started = moment(run.partition(" ")[2])
    return otherwise if started is None else started
