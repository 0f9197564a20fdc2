"""Lines of a service's log."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBatch:
    """The lines since the last read, made safe; `dropped` were lost because nobody read in time; `ended` tells that
    no more will come."""

    lines: tuple[str, ...] = ()
    dropped: int = 0
    ended: bool = False
