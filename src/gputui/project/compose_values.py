"""Values of a Compose file that are written in several ways: sizes, durations, mappings as lists."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

from gputui.domain.errors import UsageError
from gputui.project.compose_yaml import Located

_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|μs|ms|s|m|h)")
_BYTES = re.compile(r"^(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?$", re.IGNORECASE)


def size_bytes(text: str, where: str) -> int:
    """A size as Compose reads it: every unit is binary, `8gb` too, and a bare number is bytes; -1 is no limit."""
    if text.strip() == "-1":
        return -1
    match = _BYTES.match(text.strip())
    if match is None:
        raise UsageError(f"{where}: {text} is no size", "write it like 512mb or 8g")
    power = "kmgt".index(match[2].lower()) + 1 if match[2] else 0
    return int(float(match[1]) * 1024**power)


def duration_ns(entry: Located, key: str) -> int | None:
    """A duration such as `1m30s` in nanoseconds, as the Engine API takes it."""
    value = entry.get(key)
    if value is None:
        return None
    parts = _DURATION.findall(str(value))
    if not parts or "".join(number + unit for number, unit in parts) != str(value):
        raise UsageError(f"{entry.where(key)}: {value} is no duration", "write it like 30s or 1m30s")
    return int(sum(float(number) * _NANOSECONDS[unit] for number, unit in parts))


def words(entry: Located, key: str) -> list[str] | None:
    """A command: a list of words, or a text that is split as a shell does."""
    value = entry.get(key)
    if value is None:
        return None
    if isinstance(value, str):
        try:
            return shlex.split(value)
        except ValueError as error:
            raise UsageError(f"{entry.where(key)}: {error}", "check its quotes") from None
    if isinstance(value, list):
        return [str(scalar(word) or "") for word in value]
    raise UsageError(f"{entry.where(key)}: a text or a list of words is expected", "mend it")


def pairs(entry: Mapping[str, Any], key: str) -> dict[str, str | None]:
    """A mapping that may also be written as a list of `name=value`."""
    value = entry.get(key)
    if value is None:
        return {}
    if isinstance(value, list):
        split = (str(line).partition("=") for line in value)
        return {name: text if sign else None for name, sign, text in split}
    if isinstance(value, dict):
        return {str(name): scalar(text) for name, text in value.items()}
    where = entry.where(key) if isinstance(entry, Located) else key
    raise UsageError(f"{where}: a mapping or a list of name=value is expected", "mend it")


def scalar(value: Any) -> str | None:
    """A value as the text that YAML would have for it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def texts(values: Any) -> dict[str, str]:
    """A mapping whose values are texts; what is nothing is empty."""
    return {str(key): scalar(value) or "" for key, value in (values or {}).items()}


def listed(value: Any) -> list[str]:
    """A list that may also be written as one text."""
    return [str(one) for one in value] if isinstance(value, list) else [] if value is None else [str(value)]
