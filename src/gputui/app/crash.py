"""What is told of an error of our own: where it was. Values may be secrets, and are often in the messages of errors, so
that only messages are told in which there is none."""

import traceback

from gputui.domain.errors import GputuiError
from gputui.domain.text import clean

PLAIN = (AttributeError, TypeError, NameError, IndexError, AssertionError, RecursionError, ImportError, GputuiError)
"""Errors whose messages name parts of a program, and GputuiError, whose messages are made for people."""
LINE = 400


def crash_lines(error: BaseException | None) -> list[str]:
    """The errors from the first to the last, each with the places that led to it."""
    lines: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        places = [line for part in traceback.format_tb(error.__traceback__) for line in part.splitlines()]
        plain = isinstance(error, PLAIN) or type(error).__module__.startswith("textual")
        what = f": {error}" if plain else " (its message is left out: there may be secrets in it)"
        lines = [*places, f"{type(error).__name__}{what}", *lines]
        error = error.__cause__ or error.__context__
    return [clean(line, LINE) for line in lines]
