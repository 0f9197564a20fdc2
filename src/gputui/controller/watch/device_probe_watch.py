"""Runs device probes in running containers now and then: a container may lose the devices that it was given."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from gputui.controller.watch.watcher import BackgroundWatch, Watcher
from gputui.domain.container import Inside
from gputui.engine.protocol import Engine

LOOK_AGAIN_S = 120.0
"""Seconds between probes of a container: each runs a process in it, for which Podman keeps another one for five
minutes."""
AT_ONCE = 4

_log = logging.getLogger(__name__)


class DeviceProbeWatch(BackgroundWatch):
    """What the device probes found in the requested containers. `on_change` is called when that changed."""

    def __init__(self, engine: Engine, on_change: Callable[[], None]) -> None:
        self._engine = engine
        self._on_change = on_change
        self._requested: frozenset[str] = frozenset()
        self._contents: Mapping[str, Inside] = {}
        self._probed_at: dict[str, float] = {}
        self._lock = threading.Lock()
        self._watcher = Watcher("device probes", self._look)
        self._idle = threading.Event()
        self._idle.set()

    def want(self, runs: Iterable[str]) -> None:
        """Probe these from now on. A run is a container's id and its start time, because each start injects the devices
        again."""
        requested = frozenset(runs)
        with self._lock:
            new, self._requested = requested - self._requested, requested
            if new:
                self._idle.clear()
                self._watcher.wake()

    def seen(self) -> Mapping[str, Inside]:
        """The results so far, by run."""
        return self._contents

    def wait(self, limit_s: float) -> None:
        """Wait until all requested containers were probed, at most `limit_s`."""
        self._idle.wait(limit_s)

    def _look(self) -> float:
        with self._lock:
            requested, now_s = self._requested, time.monotonic()
        due = [run for run in requested if now_s - self._probed_at.get(run, -LOOK_AGAIN_S) >= LOOK_AGAIN_S]
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            contents = dict(zip(due, pool.map(self._inside, due), strict=True))
        still_valid = {run: probed_at for run, probed_at in self._probed_at.items() if run in requested}
        self._probed_at = {**still_valid, **dict.fromkeys(due, now_s)}
        previous = self._contents
        self._contents = {
            run: contents.get(run) or previous[run] for run in requested if run in contents or run in previous
        }
        with self._lock:
            if self._requested == requested:
                self._idle.set()
        if self._contents != previous:
            self._on_change()
        return LOOK_AGAIN_S / 4

    def _inside(self, run: str) -> Inside:
        ref = run.partition(" ")[0]
        try:
            nodes = self._engine.device_nodes(ref)
            return Inside(nodes=nodes, driver_fault=self._engine.driver_fault(ref) if nodes else None)
        except Exception as error:  # an unexpected answer of one container must not hide the others
            _log.warning("the devices of container %s cannot be probed", ref[:12], exc_info=error)
            return Inside()
