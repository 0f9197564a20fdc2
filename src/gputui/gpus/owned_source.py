"""Readings whose processes are known by what the engine says, for a gputui that has other pids than the host."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from gputui.domain.gpu import Gpu, GpuInventory, GpuProcess, Reading
from gputui.domain.gpu_details import GpuDetails, LinkTraffic
from gputui.gpus.source import GpuSource

ASK_EVERY_S = 2.0
NOBODYS_S = 60.0
"""How long a process that is in no container is not asked about again."""
FORGOTTEN_S = 10.0
"""Seconds after which a pid that no GPU lists any more may be another process."""


@dataclass(frozen=True, slots=True)
class _Known:
    owner: str | None
    asked_at: float
    listed_at: float


class OwnedSource:
    """Implements `GpuSource` over another. `owners` are the containers of host pids, asked when a process is listed
    that is not known yet. What was known is remembered while it is listed: of a container that was stopped the engine
    lists none, while its processes may still hold memory."""

    def __init__(
        self,
        source: GpuSource,
        owners: Callable[[], Mapping[int, str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._owners = owners
        self._clock = clock
        self._known: dict[int, _Known] = {}
        self._asked = float("-inf")
        self._lock = threading.Lock()

    def inventory(self) -> GpuInventory:
        """Look for GPUs anew, and for whose the processes are: an apply stops some of them next."""
        found = self._source.inventory()
        self._ask(())
        return found

    def has_changed(self) -> bool:
        """Whether it is worth to look anew."""
        return self._source.has_changed()

    def read(self, gpu: Gpu) -> Reading:
        """The values of one GPU now."""
        return self._source.read(gpu)

    def details(self, gpu: Gpu) -> GpuDetails | None:
        """What changes slowly."""
        return self._source.details(gpu)

    def traffic(self, gpu: Gpu) -> LinkTraffic | None:
        """What goes over its links now."""
        return self._source.traffic(gpu)

    def processes(self, gpu: Gpu) -> tuple[GpuProcess, ...] | None:
        """The processes on one GPU, with the containers that they are in."""
        listed = self._source.processes(gpu)
        if listed is None:
            return None
        pids = [one.pid for one in listed]
        if self._are_new(pids):
            self._ask(pids)
        with self._lock:
            now = self._clock()
            for pid in pids:
                if pid in self._known:
                    self._known[pid] = replace(self._known[pid], listed_at=now)
            return tuple(replace(one, container_id=self._owner(one.pid)) for one in listed)

    def _owner(self, pid: int) -> str | None:
        known = self._known.get(pid)
        return known.owner if known else None

    def _are_new(self, pids: Iterable[int]) -> bool:
        with self._lock:
            now = self._clock()
            self._known = {pid: one for pid, one in self._known.items() if now - one.listed_at < FORGOTTEN_S}
            known = [self._known.get(pid) for pid in pids]
            new = any(one is None or (one.owner is None and now - one.asked_at > NOBODYS_S) for one in known)
            if not new or now - self._asked < ASK_EVERY_S:
                return False
            self._asked = now
            return True

    def _ask(self, pids: Iterable[int]) -> None:
        """Ask the engine, without holding the readings of other GPUs up."""
        owners = self._owners()
        with self._lock:
            now = self._clock()
            self._known |= {pid: _Known(owner, now, now) for pid, owner in owners.items()}
            self._known |= {pid: _Known(None, now, now) for pid in pids if pid not in owners and pid not in self._known}
