"""Chooses the first source of readings that finds a GPU."""

from collections.abc import Sequence
from dataclasses import replace

from gputui.domain.gpu import Gpu, GpuInventory, GpuProcess, Reading
from gputui.domain.gpu_details import GpuDetails, LinkTraffic
from gputui.gpus.source import GpuSource


class FirstSource:
    """Implements `GpuSource` over several sources: each inventory tries them in turn, and the first that finds a GPU is
    read from then on. If none does, the reasons of the first and of the explicitly `requested` one are reported."""

    def __init__(self, sources: Sequence[GpuSource], requested: GpuSource | None = None) -> None:
        self._sources = sources
        self._requested = requested
        self._chosen = sources[0]

    def inventory(self) -> GpuInventory:
        """Look for GPUs again."""
        first: GpuInventory | None = None
        for source in self._sources:
            inventory = source.inventory()
            if inventory.gpus:
                self._chosen = source
                return inventory
            if first is not None and source is self._requested:
                first = replace(first, reason=f"{first.reason}; {inventory.reason}", fix=inventory.fix)
            first = first or inventory
        self._chosen = self._sources[0]
        assert first is not None
        return first

    def has_changed(self) -> bool:
        """Whether to look again: also while a fallback is in use, because the first source may be back."""
        return self._chosen is not self._sources[0] or self._chosen.has_changed()

    def read(self, gpu: Gpu) -> Reading:
        """The current values of one GPU."""
        return self._chosen.read(gpu)

    def details(self, gpu: Gpu) -> GpuDetails | None:
        """The slowly changing values."""
        return self._chosen.details(gpu)

    def traffic(self, gpu: Gpu) -> LinkTraffic | None:
        """The current traffic over its links."""
        return self._chosen.traffic(gpu)

    def processes(self, gpu: Gpu) -> tuple[GpuProcess, ...] | None:
        """The current processes on one GPU."""
        return self._chosen.processes(gpu)
