"""Lines for the terminal: whatever is in them, no control character gets there."""

import sys

from gputui.domain.text import clean

LINE = 20_000


def say(text: str = "") -> None:
    """Print lines."""
    for line in text.split("\n"):
        sys.stdout.write(clean(line, LINE) + "\n")
    sys.stdout.flush()
