"""Finding text as a person types it."""

from collections.abc import Callable
from typing import Any

LONGEST = 200
"""Characters of a pattern; a longer one is nobody's."""

Pattern = Any
"""Of RE2, which takes time in proportion to the line whatever the pattern is: it runs with every key that is typed."""


def pattern_of(text: str) -> Pattern | None:
    """The pattern that was typed: a regular expression, else the text itself; None where nothing was typed. Upper case
    counts where it was typed (as in vim's smartcase)."""
    text = text[:LONGEST]
    if not text:
        return None
    import re2  # noqa: PLC0415 - it takes 2.5 MB, and is needed where something is typed

    options = re2.Options()
    options.case_sensitive = text != text.lower()
    options.log_errors = False
    try:
        return re2.compile(text, options=options)
    except re2.error:
        return re2.compile(re2.escape(text), options=options)


def filter_of(text: str) -> Callable[[str], bool]:
    """Whether a line passes what was typed; `!` before it inverts."""
    inverse = text.startswith("!")
    pattern = pattern_of(text.removeprefix("!"))
    if pattern is None:
        return lambda _: True
    return lambda line: (pattern.search(line) is None) is inverse
