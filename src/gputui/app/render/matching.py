"""Text search with typed patterns."""

from collections.abc import Callable
from typing import Any

MAX_LENGTH = 200
"""Maximum length of a pattern."""

Pattern = Any
"""A pattern of RE2, whose run time is linear for any pattern: it runs at every keystroke."""


def pattern_of(text: str) -> Pattern | None:
    """The typed regular expression, else the literal text; None if empty. Case matters if the text has upper case (like
    vim's smartcase)."""
    text = text[:MAX_LENGTH]
    if not text:
        return None
    import re2  # noqa: PLC0415 - takes 2.5 MB, and is only needed for typed patterns

    options = re2.Options()
    options.case_sensitive = text != text.lower()
    options.log_errors = False
    try:
        return re2.compile(text, options=options)
    except re2.error:
        return re2.compile(re2.escape(text), options=options)


def filter_of(text: str) -> Callable[[str], bool]:
    """A predicate for lines that match the typed filter; a leading `!` inverts it."""
    inverse = text.startswith("!")
    pattern = pattern_of(text.removeprefix("!"))
    if pattern is None:
        return lambda _: True
    return lambda line: (pattern.search(line) is None) is inverse
