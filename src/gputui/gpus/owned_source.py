"""Readings whose processes are known by what the engine says, for a gputui that has other pids than the host."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from gputui.domain.gpu import Gpu, GpuInventory, GpuProcess, Reading
from gputui.gpus.source import GpuSource

ASK_EVERY_S = 2.0
REMEMBERED = 10_000


class OwnedSource:
    """Implements `GpuSource` over another. `owners` are the containers of host pids, asked when a process is listed
    that is not known yet. What was known once is remembered: of a container that was stopped the engine lists none,
    while its processes may still hold memory."""

    def __init__(self, source: GpuSource, owners: Callable[[], Mapping[int, str]]) -> None:
        self._source = source
        self._owners = owners
        self._known: dict[int, str] = {}
        self._asked = -ASK_EVERY_S
        self._lock = threading.Lock()

    def inventory(self) -> GpuInventory:
        """Look for GPUs anew."""
        return self._source.inventory()

    def has_changed(self) -> bool:
        """Whether it is worth to look anew."""
        return self._source.has_changed()

    def read(self, gpu: Gpu) -> Reading:
        """The values of one GPU now."""
        return self._source.read(gpu)

    def processes(self, gpu: Gpu) -> tuple[GpuProcess, ...] | None:
        """The processes on one GPU, with the containers that they are in."""
        listed = self._source.processes(gpu)
        if listed is None:
            return None
        with self._lock:
            unknown = any(one.pid not in self._known for one in listed)
            if unknown and time.monotonic() - self._asked >= ASK_EVERY_S:
                self._known = {**dict(list(self._known.items())[-REMEMBERED:]), **self._owners()}
                self._asked = time.monotonic()
            return tuple(replace(one, container_id=self._known.get(one.pid)) for one in listed)
