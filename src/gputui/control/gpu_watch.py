"""Keeps the inventory and the readings of the GPUs."""

import threading
import time
from collections.abc import Callable

from gputui.domain.gpu import GpuInventory, Reading
from gputui.domain.gpu_details import LinkTraffic
from gputui.gpus.readers import GpuReaders
from gputui.gpus.source import GpuSource

LOOKING = GpuInventory(reason="looking for GPUs")
SLOW = GpuInventory(
    reason="the NVIDIA driver does not answer", fix="`dmesg` may tell why; gputui goes on as soon as it answers"
)
LAYOUT_EVERY_S = 2.0
"""How often it is looked whether GPUs came or went, changed their order, or were cut into instances."""
LAYOUT_PAUSE_S = 160.0
"""The longest pause between looks for a GPU that stays lost: each initialises the driver anew."""
SLOW_AFTER_S = 5.0
"""Seconds after which a first look that has not ended is said to hang."""
TICK_S = 2.0
"""What somebody else did to the files or the state is seen after so many seconds, however seldom GPUs are read."""


class GpuWatch:
    """Looks for GPUs once and on demand, and has each read by a thread of its own."""

    def __init__(self, source: GpuSource, interval_s: float) -> None:
        self._source = source
        self._interval_s = interval_s
        self._listeners: list[Callable[[], None]] = []
        self._stop = threading.Event()
        self._look = threading.Event()
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
        """Begin; no second time."""
        if self._started:
            return
        self._started = True
        self._began = time.monotonic()
        threading.Thread(target=self._run, name="gpu-inventory", daemon=True).start()
        threading.Thread(target=self._tick, name="gpu-tick", daemon=True).start()

    def _run(self) -> None:
        """Look for GPUs; a thread of its own, for the driver may hang. Between looks that somebody asks for it sees by
        itself that something changed, less often where looking again did not help."""
        self._look_again()
        self._changed()
        pause = LAYOUT_EVERY_S
        while True:
            asked = self._look.wait(pause)
            if self._stop.is_set():
                return
            self._look.clear()
            if not asked and not self._source.has_changed():
                continue
            before = self._inventory
            self._look_again()
            self._changed()
            same = not asked and self._inventory == before
            pause = min(2 * pause, LAYOUT_PAUSE_S) if same else LAYOUT_EVERY_S

    def _tick(self) -> None:
        while not self._stop.wait(min(self._interval_s, TICK_S)):
            self._changed()

    def _look_again(self) -> None:
        """The cards stay as they are until the GPUs that were found have been read."""
        inventory = self._source.inventory()
        readers = GpuReaders(self._source, inventory.gpus, max(self._interval_s, inventory.every_s))
        readers.wait_for_first(min(self._interval_s, 0.3))
        before, self._readers = self._readers, readers
        self._inventory = inventory
        if before is not None:
            before.close()
        self.first_look.set()

    def rescan(self) -> None:
        """Look for GPUs again soon."""
        self._look.set()

    def inventory(self) -> GpuInventory:
        """What was found at the last look."""
        if self._inventory is not None:
            return self._inventory
        return SLOW if time.monotonic() - self._began > SLOW_AFTER_S else LOOKING

    def readings(self) -> tuple[Reading, ...]:
        """The latest readings."""
        return self._readers.latest() if self._readers else ()

    def traffic(self, uuid: str) -> LinkTraffic | None:
        """What goes over a GPU's links now; it takes a moment to measure."""
        gpu = next((one for one in self.inventory().gpus if one.uuid == uuid), None)
        return self._source.traffic(gpu) if gpu else None

    def wait(self, limit_s: float) -> None:
        """Wait until there is an inventory and every GPU was read, at most `limit_s`."""
        if self.first_look.wait(limit_s) and self._readers is not None:
            self._readers.wait_for_all(limit_s)

    def close(self) -> None:
        """Stop."""
        self._stop.set()
        self._look.set()
        if self._readers is not None:
            self._readers.close()
