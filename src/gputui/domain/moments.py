"""Moments as engines and the state write them."""

from datetime import datetime
from functools import lru_cache


@lru_cache(maxsize=512)
def moment(text: str) -> float | None:
    """Seconds since the epoch of an RFC 3339 time; None where it is none."""
    head, dot, rest = text.partition(".")
    if dot:
        # Engines write nanoseconds, of which Python reads six digits.
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        text = f"{head}.{digits[:6].ljust(6, '0')}{rest[len(digits) :]}"
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None
