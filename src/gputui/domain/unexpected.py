"""Describes unexpected errors by their location. Error messages often contain values, which may be secrets, so only
messages of known safe kinds are shown."""

import os
import time
import traceback
from dataclasses import dataclass

from gputui.domain.errors import GputuiError
from gputui.domain.text import clean

UNEXPECTED = 70
"""The exit code after an internal error (EX_SOFTWARE in sysexits.h)."""

PLAIN = (AttributeError, TypeError, NameError, IndexError, AssertionError, RecursionError, ImportError, GputuiError)
"""Errors whose messages only name parts of a program, and GputuiError, whose messages are meant for users."""
LINE = 400


def crash_lines(error: BaseException | None) -> list[str]:
    """The chain of errors, root cause first, each with its traceback."""
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
    """The message for an internal error: one line for what and where, one for what to do."""
    return (
        f"gputui: an unexpected error in gputui itself: {place_of(error)}\n"
        f"gputui: {log} tells more: please report it. An apply that runs goes on; `gputui status` tells how it stands\n"
    )


def place_of(error: BaseException) -> str:
    """An error as one line: its kind, and the innermost place in gputui's own code."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}gputui{os.sep}" in frame.filename] or frames
    location = ""
    if ours:
        location = f" in {ours[-1].filename.rpartition(f'{os.sep}gputui{os.sep}')[2]}:{ours[-1].lineno}"
    message = f": {error}" if isinstance(error, PLAIN) else ""
    return clean(f"{type(error).__name__}{location}{message}", LINE)


@dataclass(frozen=True, slots=True)
class WatchFault:
    """A failing watch: its name, since when it fails (seconds since 1970), and the error as one line without values."""

    name: str
    since: float
    error: str

    @property
    def text(self) -> str:
        """The fault as a note for users."""
        since = time.strftime("%H:%M:%S", time.localtime(self.since))
        return f"the watch “{self.name}” fails since {since}: {self.error}; gputui tries again (see the log)"
