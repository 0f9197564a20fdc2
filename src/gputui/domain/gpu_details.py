"""The slowly changing values of a GPU (health, links, clocks), and its history."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Recovery = Literal["none", "reset", "reboot", "drain", "drain and reset"]
"""What the driver requires before the GPU is used again (nvml.h, nvmlDeviceGpuRecoveryAction_t)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Xid:
    """A GPU error that the driver reported while gputui was running; `at` in seconds since the epoch."""

    code: int
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuDetails:
    """Values read every few seconds (`taken_at`, seconds since the epoch); `None` is unknown or unsupported, never 0.

    `ecc_*` count memory errors since the driver was loaded; uncorrected ones have lost data. `remap_*` are about memory
    rows that were replaced, or will be on a reset. `slowdown_c` is the temperature at which the GPU throttles itself.
    """

    taken_at: float
    performance_state: str | None = None
    fan_percent: int | None = None
    clock_sm_max_mhz: int | None = None
    clock_memory_mhz: int | None = None
    memory_busy_percent: int | None = None
    memory_temperature_c: int | None = None
    slowdown_c: int | None = None
    encoder_percent: int | None = None
    decoder_percent: int | None = None
    pcie_generation: int | None = None
    pcie_generation_max: int | None = None
    pcie_width: int | None = None
    pcie_width_max: int | None = None
    pcie_replays: int | None = None
    nvlinks: int | None = None
    nvlinks_active: int | None = None
    ecc: bool | None = None
    ecc_corrected: int | None = None
    ecc_uncorrected: int | None = None
    remapped_rows: int | None = None
    remap_pending: bool | None = None
    remap_failed: bool | None = None
    recovery: Recovery | None = None
    persistence: bool | None = None
    xid: Xid | None = None

    @property
    def faults(self) -> tuple[str, ...]:
        """The faults that speak against using it, as text, most severe first."""
        faults = []
        if self.recovery not in (None, "none"):
            faults.append(f"needs a {self.recovery}" if self.recovery != "drain" else "its peers must be drained")
        if self.xid is not None:
            faults.append(f"Xid {self.xid.code}")
        if self.remap_failed:
            faults.append("row remapping failed")
        if self.ecc_uncorrected:
            faults.append(f"{self.ecc_uncorrected} uncorrected ECC errors")
        if self.remap_pending:
            faults.append("rows wait for a reset to be remapped")
        return tuple(faults)

    @property
    def limits(self) -> tuple[str, ...]:
        """The reasons why it is slower than it could be, as text."""
        limits = []
        # All of them are down if there is no bridge, which is common.
        if self.nvlinks and self.nvlinks_active and self.nvlinks_active < self.nvlinks:
            limits.append(f"{self.nvlinks - self.nvlinks_active} of {self.nvlinks} NVLinks down")
        if self.pcie_width and self.pcie_width_max and self.pcie_width < self.pcie_width_max:
            limits.append(f"PCIe ×{self.pcie_width} of ×{self.pcie_width_max}")
        return tuple(limits)


LinkKind = Literal["NVLink", "PIX", "PXB", "PHB", "NODE", "SYS"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuLink:
    """The connection of two GPUs (UUIDs), in the terms of `nvidia-smi topo -m`: `nvlinks` NVLinks, else through PIX one
    PCIe bridge, PXB several, PHB the host bridge, NODE one NUMA node, SYS between NUMA nodes."""

    gpu: str
    peer: str
    kind: LinkKind
    nvlinks: int = 0

    @property
    def text(self) -> str:
        """`NV18`, `SYS`."""
        return f"NV{self.nvlinks}" if self.kind == "NVLink" else self.kind


def link_between(links: Sequence[GpuLink], gpu: str, peer: str) -> GpuLink | None:
    """The link between two GPUs; None if unknown."""
    return next((link for link in links if {link.gpu, link.peer} == {gpu, peer}), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTraffic:
    """The traffic over a GPU's links: PCIe in KiB per second; for NVLink, `nvlink_*_kib` are counters since the driver
    was loaded, whose difference over time is the traffic."""

    taken_at: float
    pcie_rx_kib_s: int | None = None
    pcie_tx_kib_s: int | None = None
    nvlink_rx_kib: int | None = None
    nvlink_tx_kib: int | None = None


KEPT_S = 600.0
"""Ten minutes, as nvtop keeps them: long enough to see a model load and settle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The values of a GPU in one period, by the number of the period; None is unknown."""

    period: int
    utilization_percent: int | None = None
    memory_percent: int | None = None
    temperature_c: int | None = None
    power_percent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuHistory:
    """The moments of the last ten minutes, oldest first; each lasted `period_s` seconds."""

    period_s: float
    moments: tuple[Moment, ...] = ()
