"""The most memory that each kind of service was seen to hold, in the state database."""

from collections.abc import Mapping

from gputui.domain.peak import PeakKey
from gputui.project.clock import now
from gputui.project.database import Database


class Peaks:
    """Remembered peaks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[PeakKey, int]:
        """All peaks, in MiB."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT image, arguments, gpus, gpu_total_mib, peak_mib FROM observed_peaks")
            return {PeakKey(*row[:4]): int(row[4]) for row in rows}

    def remember(self, raised: Mapping[PeakKey, int]) -> None:
        """Keep these peaks, unless somebody saw higher ones meanwhile."""
        rows = [(key.image, key.arguments, key.gpus, key.gpu_total_mib, mib, now()) for key, mib in raised.items()]
        with self._database.writing() as connection:
            connection.executemany(
                "INSERT INTO observed_peaks VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET peak_mib = excluded.peak_mib, at = excluded.at WHERE excluded.peak_mib > peak_mib",
                rows,
            )
