"""Log lines of a service, and the progress of a starting service."""

from dataclasses import dataclass
from typing import Literal

LogStream = Literal["stdout", "stderr"]


@dataclass(frozen=True, slots=True)
class LogLine:
    """One sanitised line; `at` is the engine's timestamp (RFC 3339), None if unknown."""

    text: str
    stream: LogStream = "stdout"
    at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogWindow:
    """The part of a log to read: the last `tail` lines (None: all), none older than `since` (seconds since the epoch);
    and whether to follow it."""

    tail: int | None = 500
    since: float | None = None
    follow: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBatch:
    """The lines since the last read; `dropped` is the number of lines lost because they were not read in time; `ended`:
    the log is complete."""

    lines: tuple[LogLine, ...] = ()
    dropped: int = 0
    ended: bool = False


Phase = Literal["downloading", "loading", "compiling", "capturing graphs", "ready"]


@dataclass(frozen=True, slots=True)
class Loading:
    """The startup progress according to the log: the phase, and its percentage, None if unknown."""

    phase: Phase
    percent: int | None = None

    @property
    def text(self) -> str:
        """`loading 62 %`."""
        return self.phase if self.percent is None else f"{self.phase} {self.percent} %"
