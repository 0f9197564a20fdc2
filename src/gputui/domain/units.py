"""Units of memory: MiB internally, GiB for display."""

import re

from gputui.domain.errors import UsageError
from gputui.domain.text import clean

_SIZE = re.compile(r"^\s*([0-9]{1,20}(?:\.[0-9]{1,20})?)\s*([kmgt]?)(i?)(b?)\s*$", re.IGNORECASE)
_POWER = {"k": 1, "m": 2, "g": 3, "t": 4}


def parse_size(text: str, *, where: str) -> int:
    """A size such as `3.5GiB`, `3584MiB`, `24GB` (decimal) or `8g` (binary, as in Docker) in MiB.

    A bare number is GiB.

    Raises:
        UsageError: `text` is not a size, or not above zero; `where` names its origin in the message.
    """
    match = _SIZE.match(text)
    if not match:
        raise UsageError(f"{where}: {clean_value(text)} is not a size", "write it like 3.5GiB, 3584MiB or 24GB")
    number, unit, binary, byte = match.groups()
    base = 1000 if byte and not binary and unit else 1024
    if not unit and byte:
        size = float(number) / 2**20
    else:
        size = float(number) * base ** _POWER[(unit or "g").lower()] / 2**20
    if not 1 <= size < 2**30:
        raise UsageError(f"{where}: {clean_value(text)} is not a usable size", "write it like 3.5GiB, 3584MiB or 24GB")
    return int(size)


def clean_value(text: str) -> str:
    """A value as quoted in a message."""

    return f"“{clean(text, 80)}”"


def gib(mib: int | None) -> str:
    """GiB with one decimal, without the unit; unknown is `n/a`."""
    return "n/a" if mib is None else f"{mib / 1024:.1f}"
