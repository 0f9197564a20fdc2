"""The slowly changing values of a GPU, from NVML."""

import time
from collections.abc import Callable
from typing import Any

import pynvml

from gputui.domain.gpu_details import GpuDetails, LinkTraffic, Recovery, Xid

Ask = Callable[..., Any]
"""Calls an NVML function with the GPU's handle and these arguments; None if it fails."""

# nvml.h, nvmlDeviceGpuRecoveryAction_t
_RECOVERY: dict[int, Recovery] = {
    0: "none", 1: "reset", 2: "reboot", 3: "drain", 4: "drain and reset", 6: "reset", 7: "reboot",
}  # fmt: skip

_ALL_LINKS = 0xFFFFFFFF
"""The scope of an NVLink field that means all links of a GPU (nvml.h, nvmlFieldValue_t)."""


def details(ask: Ask, xid: Xid | None, links: tuple[int, int] | None) -> GpuDetails:
    """All details; `links` is the number of NVLinks and how many of them are up."""
    rates = ask(pynvml.nvmlDeviceGetUtilizationRates)
    encoder = ask(pynvml.nvmlDeviceGetEncoderUtilization)
    decoder = ask(pynvml.nvmlDeviceGetDecoderUtilization)
    ecc = ask(pynvml.nvmlDeviceGetEccMode)
    rows = ask(pynvml.nvmlDeviceGetRemappedRows)
    state = ask(pynvml.nvmlDeviceGetPerformanceState)
    persistence = ask(pynvml.nvmlDeviceGetPersistenceMode)
    recovery = ask(_field, pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION)
    corrected, uncorrected = pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED
    return GpuDetails(
        taken_at=time.time(),
        performance_state=f"P{state}" if state is not None and 0 <= state <= 15 else None,
        fan_percent=ask(pynvml.nvmlDeviceGetFanSpeed),
        clock_sm_max_mhz=ask(pynvml.nvmlDeviceGetMaxClockInfo, pynvml.NVML_CLOCK_SM),
        clock_memory_mhz=ask(pynvml.nvmlDeviceGetClockInfo, pynvml.NVML_CLOCK_MEM),
        memory_busy_percent=int(rates.memory) if rates else None,
        memory_temperature_c=ask(_field, pynvml.NVML_FI_DEV_MEMORY_TEMP) or None,
        slowdown_c=ask(pynvml.nvmlDeviceGetTemperatureThreshold, pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN),
        encoder_percent=int(encoder[0]) if encoder else None,
        decoder_percent=int(decoder[0]) if decoder else None,
        pcie_generation=ask(pynvml.nvmlDeviceGetCurrPcieLinkGeneration),
        pcie_generation_max=ask(pynvml.nvmlDeviceGetMaxPcieLinkGeneration),
        pcie_width=ask(pynvml.nvmlDeviceGetCurrPcieLinkWidth),
        pcie_width_max=ask(pynvml.nvmlDeviceGetMaxPcieLinkWidth),
        pcie_replays=ask(pynvml.nvmlDeviceGetPcieReplayCounter),
        nvlinks=links[0] if links else None,
        nvlinks_active=links[1] if links else None,
        ecc=bool(ecc[0]) if ecc else None,
        ecc_corrected=ask(pynvml.nvmlDeviceGetTotalEccErrors, corrected, pynvml.NVML_VOLATILE_ECC),
        ecc_uncorrected=ask(pynvml.nvmlDeviceGetTotalEccErrors, uncorrected, pynvml.NVML_VOLATILE_ECC),
        remapped_rows=int(rows[0] + rows[1]) if rows else None,
        remap_pending=bool(rows[2]) if rows else None,
        remap_failed=bool(rows[3]) if rows else None,
        recovery=None if recovery is None else _RECOVERY.get(recovery),
        persistence=bool(persistence) if persistence is not None else None,
        xid=xid,
    )


def traffic(ask: Ask) -> LinkTraffic:
    """The traffic over the links; for PCIe the driver samples each direction for 20 ms."""
    return LinkTraffic(
        taken_at=time.time(),
        pcie_rx_kib_s=ask(pynvml.nvmlDeviceGetPcieThroughput, pynvml.NVML_PCIE_UTIL_RX_BYTES),
        pcie_tx_kib_s=ask(pynvml.nvmlDeviceGetPcieThroughput, pynvml.NVML_PCIE_UTIL_TX_BYTES),
        nvlink_rx_kib=ask(_field, pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, _ALL_LINKS),
        nvlink_tx_kib=ask(_field, pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, _ALL_LINKS),
    )


def _field(handle: Any, field: int, scope: int = 0) -> int:
    """One field value.

    Raises:
        pynvml.NVMLError: the GPU does not support it.
    """
    value = pynvml.nvmlDeviceGetFieldValues(handle, [(field, scope)])[0]
    if value.nvmlReturn != pynvml.NVML_SUCCESS:
        raise pynvml.NVMLError(value.nvmlReturn)
    kinds = {
        pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
        pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
        pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
        pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "sllVal",
        pynvml.NVML_VALUE_TYPE_SIGNED_INT: "siVal",
    }
    if value.valueType not in kinds:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    return int(getattr(value.value, kinds[value.valueType]))
