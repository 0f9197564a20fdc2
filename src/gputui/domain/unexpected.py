"""What is said of an unexpected error: where it was. The messages of errors often hold values, which may be secrets, so
that only those are shown that hold none."""

import os
import time
import traceback
from dataclasses import dataclass

from gputui.domain.errors import GputuiError
from gputui.domain.text import clean

UNEXPECTED = 70
"""The exit code of a program that was ended by an error of its own (EX_SOFTWARE in sysexits.h)."""

PLAIN = (AttributeError, TypeError, NameError, IndexError, AssertionError, RecursionError, ImportError, GputuiError)
"""Errors whose messages name parts of a program, and GputuiError, whose messages are made for people."""
LINE = 400


def crash_lines(error: BaseException | None) -> list[str]:
    """The errors from the first to the last, each with the places that led to it."""
    lines: list[str] = []
    error_ids: set[int] = set()
    while error is not None and id(error) not in error_ids:
        error_ids.add(id(error))
        places = [line for part in traceback.format_tb(error.__traceback__) for line in part.splitlines()]
        plain = isinstance(error, PLAIN) or type(error).__module__.startswith("textual")
        message = f": {error}" if plain else " (its message is left out: there may be secrets in it)"
        lines = [*places, f"{type(error).__name__}{message}", *lines]
        error = error.__cause__ or error.__context__
    return [clean(line, LINE) for line in lines]


def unexpected(error: BaseException, log: object) -> str:
    """What a person reads of an error of our own: one line what and where, one line what to do."""
    return (
        f"gputui: an unexpected error in gputui itself: {place_of(error)}\n"
        f"gputui: {log} tells more: please report it. An apply that runs goes on; `gputui status` tells how it stands\n"
    )


def place_of(error: BaseException) -> str:
    """An error as one line: its kind, and the last place of the program that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}gputui{os.sep}" in frame.filename] or frames
    location = ""
    if ours:
        location = f" in {ours[-1].filename.rpartition(f'{os.sep}gputui{os.sep}')[2]}:{ours[-1].lineno}"
    message = f": {error}" if isinstance(error, PLAIN) else ""
    return clean(f"{type(error).__name__}{location}{message}", LINE)


@dataclass(frozen=True, slots=True)
class WatchFault:
    """A watch whose looks fail: its name, since when (seconds since 1970), and the error as one line without values."""

    name: str
    since: float
    error: str

    @property
    def text(self) -> str:
        """As a note to read."""
        since = time.strftime("%H:%M:%S", time.localtime(self.since))
        return f"the watch “{self.name}” fails since {since}: {self.error}; gputui tries again (see the log)"
