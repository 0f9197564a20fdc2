"""The past of one GPU."""

from dataclasses import dataclass

KEPT_S = 600.0
"""Ten minutes, as nvtop keeps them: long enough to see a model load and settle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a GPU was like in one period, by the number of the period; None is unknown."""

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
