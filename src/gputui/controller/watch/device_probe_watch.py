"""Looks into running containers now and then: what a container was given once is not what it has for ever."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from gputui.controller.watch.watcher import BackgroundWatch, Watcher
from gputui.domain.container import Inside
from gputui.engine.protocol import Engine

LOOK_AGAIN_S = 120.0
"""Seconds after which a container is looked into anew: it takes a process in it, for which Podman keeps another for
five minutes."""
AT_ONCE = 4

_log = logging.getLogger(__name__)


class DeviceProbeWatch(BackgroundWatch):
    """What was seen inside the containers that were asked for. `told` is called when that changed."""

    def __init__(self, engine: Engine, told: Callable[[], None]) -> None:
        self._engine = engine
        self._told = told
        self._wanted: frozenset[str] = frozenset()
        self._seen: Mapping[str, Inside] = {}
        self._looked: dict[str, float] = {}
        self._lock = threading.Lock()
        self._watcher = Watcher("device probes", self._look)
        self._idle = threading.Event()
        self._idle.set()

    def want(self, runs: Iterable[str]) -> None:
        """Look into these from now on. A run is a container's id and when it started, for a new start is given its
        devices anew."""
        wanted = frozenset(runs)
        with self._lock:
            new, self._wanted = wanted - self._wanted, wanted
            if new:
                self._idle.clear()
                self._watcher.wake()

    def seen(self) -> Mapping[str, Inside]:
        """What is known, by run."""
        return self._seen

    def wait(self, limit_s: float) -> None:
        """Wait until all that is wanted was looked at, at most `limit_s`."""
        self._idle.wait(limit_s)

    def _look(self) -> float:
        with self._lock:
            wanted, now = self._wanted, time.monotonic()
        due = [run for run in wanted if now - self._looked.get(run, -LOOK_AGAIN_S) >= LOOK_AGAIN_S]
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            found = dict(zip(due, pool.map(self._inside, due), strict=True))
        kept = {run: at for run, at in self._looked.items() if run in wanted}
        self._looked = {**kept, **dict.fromkeys(due, now)}
        before = self._seen
        self._seen = {run: found.get(run) or before[run] for run in wanted if run in found or run in before}
        with self._lock:
            if self._wanted == wanted:
                self._idle.set()
        if self._seen != before:
            self._told()
        return LOOK_AGAIN_S / 4

    def _inside(self, run: str) -> Inside:
        ref = run.partition(" ")[0]
        try:
            nodes = self._engine.device_nodes(ref)
            return Inside(nodes=nodes, driver_fault=self._engine.driver_fault(ref) if nodes else None)
        except Exception as error:  # one container whose answer is not understood must not hide the others
            _log.warning("container %s cannot be looked into", ref[:12], exc_info=error)
            return Inside()
