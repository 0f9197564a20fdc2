"""Assigns processes to containers with the help of the engine, for a gputui in its own pid namespace."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from gputui.domain.gpu import Gpu, GpuInventory, GpuProcess, Reading
from gputui.domain.gpu_details import GpuDetails, LinkTraffic
from gputui.gpus.source import GpuSource

ASK_EVERY_S = 2.0
NOBODYS_S = 60.0
"""Seconds until a process without a container is looked up again."""
FORGOTTEN_S = 10.0
"""Seconds after which a pid that no GPU lists any more may have been reused."""


@dataclass(frozen=True, slots=True)
class _OwnerRecord:
    owner: str | None
    asked_at: float
    listed_at: float


class OwnedSource:
    """Implements `GpuSource` over another one. `owners` returns the containers of host pids, and is called when an
    unknown process is listed. A known owner is cached as long as its process is listed: the engine lists no processes
    for a stopped container, but these may still hold memory."""

    def __init__(
        self,
        source: GpuSource,
        owners: Callable[[], Mapping[int, str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._owners = owners
        self._clock = clock
        self._records: dict[int, _OwnerRecord] = {}
        self._asked_at = float("-inf")
        self._lock = threading.Lock()

    def inventory(self) -> GpuInventory:
        """Look for GPUs again, and refresh the process owners, because an apply may stop some of them next."""
        inventory = self._source.inventory()
        self._ask(())
        return inventory

    def has_changed(self) -> bool:
        """Whether to look again."""
        return self._source.has_changed()

    def read(self, gpu: Gpu) -> Reading:
        """The current values of one GPU."""
        return self._source.read(gpu)

    def details(self, gpu: Gpu) -> GpuDetails | None:
        """The slowly changing values."""
        return self._source.details(gpu)

    def traffic(self, gpu: Gpu) -> LinkTraffic | None:
        """The current traffic over its links."""
        return self._source.traffic(gpu)

    def processes(self, gpu: Gpu) -> tuple[GpuProcess, ...] | None:
        """The processes on one GPU, with their containers."""
        processes = self._source.processes(gpu)
        if processes is None:
            return None
        pids = [process.pid for process in processes]
        if self._are_new(pids):
            self._ask(pids)
        with self._lock:
            timestamp = self._clock()
            for pid in pids:
                if pid in self._records:
                    self._records[pid] = replace(self._records[pid], listed_at=timestamp)
            return tuple(replace(process, container_id=self._owner(process.pid)) for process in processes)

    def _owner(self, pid: int) -> str | None:
        record = self._records.get(pid)
        return record.owner if record else None

    def _are_new(self, pids: Iterable[int]) -> bool:
        with self._lock:
            timestamp = self._clock()
            self._records = {
                pid: record for pid, record in self._records.items() if timestamp - record.listed_at < FORGOTTEN_S
            }
            records = [self._records.get(pid) for pid in pids]
            has_new = any(
                record is None or (record.owner is None and timestamp - record.asked_at > NOBODYS_S)
                for record in records
            )
            if not has_new or timestamp - self._asked_at < ASK_EVERY_S:
                return False
            self._asked_at = timestamp
            return True

    def _ask(self, pids: Iterable[int]) -> None:
        """Ask the engine, without blocking the readings of other GPUs."""
        owners = self._owners()
        with self._lock:
            timestamp = self._clock()
            self._records |= {pid: _OwnerRecord(owner, timestamp, timestamp) for pid, owner in owners.items()}
            self._records |= {
                pid: _OwnerRecord(None, timestamp, timestamp)
                for pid in pids
                if pid not in owners and pid not in self._records
            }
