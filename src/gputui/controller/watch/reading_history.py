"""The readings of the last ten minutes."""

import threading
from collections import deque
from collections.abc import Sequence

from gputui.domain.gpu import Reading
from gputui.domain.gpu_details import KEPT_S, GpuHistory, Moment

PERIOD_S = 2.0


class ReadingHistory:
    """Keeps, for each GPU, the highest utilisation and the latest other values of every period."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moments: dict[str, deque[Moment]] = {}

    def add(self, readings: Sequence[Reading]) -> None:
        """Record readings; a GPU without new values leaves a gap."""
        with self._lock:
            for reading in readings:
                if reading.state == "ok":
                    self._add(reading)

    def _add(self, reading: Reading) -> None:
        moments = self._moments.setdefault(reading.gpu.uuid, deque(maxlen=int(KEPT_S / PERIOD_S)))
        period = int(reading.taken_at // PERIOD_S)
        busy = reading.utilization_percent
        if moments and moments[-1].period >= period:
            latest = moments.pop()
            percents = [percent for percent in (latest.utilization_percent, busy) if percent is not None]
            period, busy = latest.period, max(percents, default=None)
        moments.append(
            Moment(
                period=period,
                utilization_percent=busy,
                memory_percent=_percent(reading.memory_used_mib, reading.memory_total_mib),
                temperature_c=reading.temperature_c,
                power_percent=_percent(reading.power_w, reading.power_limit_w),
            )
        )

    def of(self, uuid: str) -> GpuHistory:
        """The history of one GPU."""
        with self._lock:
            return GpuHistory(period_s=PERIOD_S, moments=tuple(self._moments.get(uuid, ())))


def _percent(part: float | None, total: float | None) -> int | None:
    return None if part is None or not total else min(100, round(100 * part / total))
