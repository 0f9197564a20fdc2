"""What a source of GPU readings can do."""

from typing import Protocol

from gputui.domain.gpu import Gpu, GpuInventory, GpuProcess, Reading
from gputui.domain.gpu_details import GpuDetails, LinkTraffic


class GpuSource(Protocol):
    """Reads GPUs. Calls may block for as long as the driver likes: callers use threads and deadlines.

    No call raises for what a driver may answer: what cannot be read is None in the reading, and a GPU that is gone has
    state `lost` with the reason.
    """

    def inventory(self) -> GpuInventory:
        """Look for GPUs anew."""
        ...

    def has_changed(self) -> bool:
        """Whether it is worth to look anew: GPUs came or went, changed their order, or were cut into instances since
        the last look, or one was lost and may be back."""
        ...

    def read(self, gpu: Gpu) -> Reading:
        """The values of one GPU now, without its processes."""
        ...

    def processes(self, gpu: Gpu) -> tuple[GpuProcess, ...] | None:
        """The processes on one GPU now; None where they cannot be listed."""
        ...

    def details(self, gpu: Gpu) -> GpuDetails | None:
        """What changes slowly; None where nothing of it can be told."""
        ...

    def traffic(self, gpu: Gpu) -> LinkTraffic | None:
        """What goes over its links now, which takes the driver 40 ms to measure; None where that cannot be told."""
        ...
