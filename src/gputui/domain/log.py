"""Lines of a service's log, and how far a starting service is."""

from dataclasses import dataclass
from typing import Literal

LogStream = Literal["stdout", "stderr"]


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line, made safe; `at` is when the engine took it, as it writes it (RFC 3339), None where that is unknown."""

    text: str
    stream: LogStream = "stdout"
    at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogWindow:
    """From where a log is read: the last `tail` lines (None: all), none older than `since` (seconds since the epoch);
    and whether it is followed as it grows."""

    tail: int | None = 500
    since: float | None = None
    follow: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBatch:
    """The lines since the last read; `dropped` were lost because nobody read in time; `ended` tells that no more will
    come."""

    lines: tuple[LogLine, ...] = ()
    dropped: int = 0
    ended: bool = False


Phase = Literal["downloading", "loading", "compiling", "capturing graphs", "ready"]


@dataclass(frozen=True, slots=True)
class Loading:
    """What its log tells: the phase, and how much of that is done, None where it does not tell."""

    phase: Phase
    percent: int | None = None

    @property
    def text(self) -> str:
        """`loading 62 %`."""
        return self.phase if self.percent is None else f"{self.phase} {self.percent} %"
