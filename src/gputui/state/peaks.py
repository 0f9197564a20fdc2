"""What was observed of each kind of service, in the state database: its peak memory use, and the memory use that it
reported itself."""

from collections.abc import Mapping, Sequence

from gputui.domain.observation import Measured, PeakKey
from gputui.domain.text import whole_number
from gputui.state.audit import now
from gputui.state.database import Database


class Peaks:
    """The recorded observations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[PeakKey, int]:
        """All peaks, in MiB."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT image, arguments, gpus, gpu_total_mib, peak_mib FROM observed_peaks")
            peaks = ((PeakKey(*row[:4]), whole_number(row[4], least=1)) for row in rows)
            return {key: mib for key, mib in peaks if mib is not None}

    def remember(self, raised: Mapping[PeakKey, int]) -> None:
        """Record these peaks, unless higher ones were recorded meanwhile."""
        rows = [(key.image, key.arguments, key.gpus, key.gpu_total_mib, mib, now()) for key, mib in raised.items()]
        with self._database.writing() as connection:
            connection.executemany(
                "INSERT INTO observed_peaks VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET peak_mib = excluded.peak_mib, at = excluded.at WHERE excluded.peak_mib > peak_mib",
                rows,
            )

    def measured(self) -> dict[PeakKey, Measured]:
        """The memory use that services reported."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT image, arguments, gpus, gpu_total_mib, weights_mib, cache_mib, activation_mib, graphs_mib,"
                " cache_tokens FROM measured"
            )
            return {PeakKey(*row[:4]): _measured(row[4:]) for row in rows}

    def remember_measured(self, measured: Mapping[PeakKey, Measured]) -> None:
        """Record the memory use reported at the last start."""
        rows = [
            (
                key.image, key.arguments, key.gpus, key.gpu_total_mib, sizes.weights_mib, sizes.cache_mib,
                sizes.activation_mib, sizes.graphs_mib, sizes.cache_tokens, now(),
            )
            for key, sizes in measured.items()
        ]  # fmt: skip
        with self._database.writing() as connection:
            connection.executemany("INSERT OR REPLACE INTO measured VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _measured(row: Sequence[object]) -> Measured:
    weights, cache, activation, graphs, tokens = (whole_number(value, least=0) for value in row)
    return Measured(
        weights_mib=weights, cache_mib=cache, activation_mib=activation, graphs_mib=graphs, cache_tokens=tokens
    )
