"""Values from outside as what is expected of them: the one place that makes numbers of text.

Labels, inspect bodies, Compose files, drivers and `/proc` hold anything where a number is expected: `²` is a digit to
`str.isdigit` and none to `int`, Python refuses a run of 5000 digits, JSON has 1e999. What is not a number is None.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

LARGEST = 2**63 - 1
"""The largest whole number that engines, SQLite and NVML have."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,4})?")


def whole_number(value: object, *, least: int = -LARGEST - 1, most: int = LARGEST) -> int | None:
    """A whole number from `least` to `most`, given as a number or in ASCII digits; None for anything else."""
    found: int
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        found = value
    elif isinstance(value, float):
        if not value.is_integer() or abs(value) > LARGEST:
            return None
        found = int(value)
    elif isinstance(value, str) and _WHOLE.fullmatch(text := value.strip()):
        found = int(text)
    else:
        return None
    return found if least <= found <= most else None


def real_number(value: object) -> float | None:
    """A finite number, given as a number or in ASCII digits; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return float(value) if abs(value) <= LARGEST else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str) and _DECIMAL.fullmatch(text := value.strip()):
        found = float(text)
        return found if math.isfinite(found) else None
    return None


def mapping(value: object) -> Mapping[str, Any]:
    """The value where it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> Sequence[Any]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, (list, tuple)) else ()
