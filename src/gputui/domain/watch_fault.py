"""What cannot be watched at the moment."""

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WatchFault:
    """A watch whose looks fail: its name, since when (seconds since 1970), and the error as one line without values."""

    name: str
    since: float
    error: str

    @property
    def text(self) -> str:
        """As a note to read."""
        at = time.strftime("%H:%M:%S", time.localtime(self.since))
        return f"the watch “{self.name}” fails since {at}: {self.error}; gputui tries again (see the log)"
