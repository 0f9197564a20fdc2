"""The interface of a source of GPU readings."""

from typing import Protocol

from gputui.domain.gpu import Gpu, GpuInventory, GpuProcess, Reading
from gputui.domain.gpu_details import GpuDetails, LinkTraffic


class GpuSource(Protocol):
    """Reads GPUs. Calls may block in the driver indefinitely: callers use threads and deadlines.

    No call raises for driver errors: unreadable values are None, and a missing GPU has state `lost` with the reason.
    """

    def inventory(self) -> GpuInventory:
        """Look for GPUs again."""
        ...

    def has_changed(self) -> bool:
        """Whether to look again: since the last look GPUs were added or removed, reordered, or split into instances, or
        a lost one may be back."""
        ...

    def read(self, gpu: Gpu) -> Reading:
        """The current values of one GPU, without its processes."""
        ...

    def processes(self, gpu: Gpu) -> tuple[GpuProcess, ...] | None:
        """The current processes on one GPU; None if they cannot be listed."""
        ...

    def details(self, gpu: Gpu) -> GpuDetails | None:
        """The slowly changing values; None if none are available."""
        ...

    def traffic(self, gpu: Gpu) -> LinkTraffic | None:
        """The current traffic over its links, which the driver measures in 40 ms; None if not available."""
        ...
