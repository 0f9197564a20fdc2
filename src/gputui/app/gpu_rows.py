"""Every value of every GPU, as rows of text."""

from gputui.domain.gpu import Reading
from gputui.domain.snapshot import Snapshot
from gputui.domain.units import gib

GPU_COLUMNS = (
    "GPU", "UUID", "CC", "USED", "RESERVED", "FREE", "GiB", "UTIL", "TEMP", "POWER", "CLOCK", "LIMITED BY", "NAME",
)  # fmt: skip


def gpu_rows(snapshot: Snapshot) -> list[tuple[str, ...]]:
    """A row for each GPU; what is unknown is n/a."""
    return [_row(reading) for reading in snapshot.readings]


def _row(reading: Reading) -> tuple[str, ...]:
    gpu = reading.gpu
    power = "n/a" if reading.power_w is None else f"{reading.power_w:.0f}/{_or(reading.power_limit_w, '.0f')} W"
    return (
        gpu.label,
        gpu.uuid,
        gpu.compute_capability or "n/a",
        gib(reading.memory_used_mib),
        gib(reading.memory_reserved_mib),
        gib(reading.memory_free_mib),
        gib(reading.memory_total_mib),
        _or(reading.utilization_percent) + " %",
        _or(reading.temperature_c) + " °C",
        power,
        _or(reading.clock_sm_mhz) + " MHz",
        ", ".join(reading.throttle_reasons) or "–",
        gpu.name,
    )


def _or(value: float | None, form: str = "") -> str:
    return "n/a" if value is None else format(value, form)
