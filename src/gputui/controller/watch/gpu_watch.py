"""Keeps the inventory and the readings of the GPUs."""

import threading
import time
from collections.abc import Callable

from gputui.controller.watch.watcher import Watcher
from gputui.domain.gpu import GpuInventory, Reading
from gputui.domain.gpu_details import LinkTraffic
from gputui.domain.unexpected import WatchFault
from gputui.gpus.readers import GpuReaders
from gputui.gpus.source import GpuSource

LOOKING = GpuInventory(reason="looking for GPUs")
SLOW = GpuInventory(
    reason="the NVIDIA driver does not answer", fix="`dmesg` may tell why; gputui goes on as soon as it answers"
)
LAYOUT_EVERY_S = 2.0
"""Seconds between checks whether GPUs came or went, changed their order, or were partitioned into instances."""
LAYOUT_PAUSE_S = 160.0
"""The longest pause between looks for a GPU that stays lost: each one initialises the driver again."""
SLOW_AFTER_S = 5.0
"""Seconds after which an unfinished first look is reported as hanging."""
TICK_S = 2.0
"""Seconds after which changes to the files or the state by others are noticed, however rarely GPUs are read."""


class GpuWatch:
    """Looks for GPUs once and on demand, and reads each on a thread of its own."""

    def __init__(self, source: GpuSource, interval_s: float) -> None:
        self._source = source
        self._interval_s = interval_s
        self._listeners: list[Callable[[], None]] = []
        self._layout_watch = Watcher("GPU inventory", self._look)
        self._tick_watch = Watcher("ticks", self._tick)
        self._pause_s = LAYOUT_EVERY_S
        self._is_requested = True
        self._ticked = False
        self._readers: GpuReaders | None = None
        self._inventory: GpuInventory | None = None
        self._began = time.monotonic()
        self._started = False
        self.first_look = threading.Event()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call the listener when GPUs were found, and regularly, from a thread of the watch."""
        self._listeners.append(listener)

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()

    def start(self) -> None:
        """Begin; a second call does nothing."""
        if self._started:
            return
        self._started = True
        self._began = time.monotonic()
        self._layout_watch.start()
        self._tick_watch.start()

    @property
    def faults(self) -> tuple[WatchFault, ...]:
        """What currently cannot be watched."""
        return tuple(watcher.fault for watcher in (self._layout_watch, self._tick_watch) if watcher.fault is not None)

    def _look(self) -> float:
        """Look for GPUs on request or if something changed; less often if looking again did not help. Runs on a thread
        of its own, because the driver may hang."""
        is_requested, self._is_requested = self._is_requested, False
        if is_requested or self._source.has_changed():
            previous = self._inventory
            self._look_again()
            self._changed()
            same = not is_requested and self._inventory == previous
            self._pause_s = min(2 * self._pause_s, LAYOUT_PAUSE_S) if same else LAYOUT_EVERY_S
        return self._pause_s

    def _tick(self) -> float:
        if self._ticked:  # the first look at the GPUs notifies by itself
            self._changed()
        self._ticked = True
        return min(self._interval_s, TICK_S)

    def _look_again(self) -> None:
        """Keep the current cards until the GPUs of the new inventory have been read."""
        inventory = self._source.inventory()
        readers = GpuReaders(self._source, inventory.gpus, max(self._interval_s, inventory.every_s))
        readers.wait_for_first(min(self._interval_s, 0.3))
        previous, self._readers = self._readers, readers
        self._inventory = inventory
        if previous is not None:
            previous.close()
        self.first_look.set()

    def rescan(self) -> None:
        """Look for GPUs again soon."""
        self._is_requested = True
        self._layout_watch.wake()

    def inventory(self) -> GpuInventory:
        """The inventory of the last look."""
        if self._inventory is not None:
            return self._inventory
        return SLOW if time.monotonic() - self._began > SLOW_AFTER_S else LOOKING

    def readings(self) -> tuple[Reading, ...]:
        """The latest readings."""
        return self._readers.latest() if self._readers else ()

    def traffic(self, uuid: str) -> LinkTraffic | None:
        """The current traffic over a GPU's links; it takes a moment to measure."""
        gpu = next((gpu for gpu in self.inventory().gpus if gpu.uuid == uuid), None)
        return self._source.traffic(gpu) if gpu else None

    def wait(self, limit_s: float) -> None:
        """Wait until there is an inventory and every GPU was read, at most `limit_s`."""
        if self.first_look.wait(limit_s) and self._readers is not None:
            self._readers.wait_for_all(limit_s)

    def close(self) -> None:
        """Stop."""
        self._layout_watch.close()
        self._tick_watch.close()
        if self._readers is not None:
            self._readers.close()
