"""Reads how far services are that start, from the ends of their logs."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping

from gputui.containers.engine import Engine
from gputui.diagnosis.loading import loading_of
from gputui.domain.loading import Loading
from gputui.domain.moments import moment
from gputui.domain.text import clean_log_line

EVERY_S = 2.0
SILENT_SHARE = 0.1
"""One that has not said a word on the matter is looked at again when it has run longer by this share: not everything
loads, and what does says so soon."""
LINES = 60
"""The end of a log in which the last word on the matter stands; a progress bar is one line."""


class LoadingWatch:
    """How far the wanted containers are, by their run. `told` is called when that changed."""

    def __init__(self, engine: Engine, told: Callable[[], None]) -> None:
        self._engine = engine
        self._told = told
        self._wanted: frozenset[str] = frozenset()
        self._seen: Mapping[str, Loading] = {}
        self._looked: dict[str, float] = {}
        self._wake = threading.Event()
        self._stop = False

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="loading", daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._stop = True
        self._wake.set()

    def want(self, runs: Iterable[str]) -> None:
        """Look at these from now on. One that is ready is not looked at again."""
        wanted = frozenset(runs)
        if wanted - self._wanted:
            self._wake.set()
        self._wanted = wanted

    def seen(self) -> Mapping[str, Loading]:
        """What is known, by run."""
        return self._seen

    def _run(self) -> None:
        while not self._stop:
            self._wake.wait(None if not self._wanted else EVERY_S)
            self._wake.clear()
            before, wanted, now = self._seen, self._wanted, time.time()
            self._looked = {run: at for run, at in self._looked.items() if run in wanted}
            found = {}
            for run in wanted:
                loading = before.get(run)
                if is_due(run, loading, self._looked.get(run), now):
                    self._looked[run] = now
                    loading = self._look(run)
                if loading is not None:
                    found[run] = loading
            self._seen = found
            if self._seen != before:
                self._told()
            time.sleep(0.2)  # however often it is asked for

    def _look(self, run: str) -> Loading | None:
        try:
            lines = self._engine.last_log(run.partition(" ")[0], LINES)
        except Exception:  # an answer that no engine should give must not end the watching
            return None
        return loading_of([clean_log_line(line) for line in lines])


def is_due(run: str, loading: Loading | None, looked: float | None, now: float) -> bool:
    """Whether a log that was last looked at then (seconds since 1970) is to be looked at again."""
    if loading is not None:
        return loading.phase != "ready"
    started = moment(run.partition(" ")[2])
    return looked is None or started is None or now - looked >= SILENT_SHARE * (looked - started)
