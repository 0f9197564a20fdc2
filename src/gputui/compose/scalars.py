"""Scalars in Compose files (numbers as text, sizes, durations, command lines), parsed as compose-go does."""

import math
import re
from decimal import Decimal
from typing import Any

from gputui.compose.document import Place
from gputui.domain.text import clean, whole_number

_SIZE = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?) ?([kmgtp]?)(i?)(b?)", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_DURATION = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d|w)")
_NANOSECONDS = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
    "d": 24 * 3600 * 10**9, "w": 7 * 24 * 3600 * 10**9,
}  # fmt: skip
LONGEST_TEXT = 100_000


def excerpt(value: Any) -> str:
    """A value, shortened and made safe to quote in a message."""
    return clean(str(value), 60)


def as_text(value: Any) -> str | None:
    """A scalar as Go formats it (`%v`): 16e9 is 1.6e+10, 1.10 is 1.1; None stays None."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return _float_text(value) if isinstance(value, float) else str(value)


def _float_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, digits)).rstrip("0") or "0"
    dropped = len(digits) - len(text) if any(digits) else 0
    assert isinstance(exponent, int)
    point = len(text) + exponent + dropped
    prefix = "-" if sign else ""
    if text == "0":
        return prefix + "0"
    power = point - 1
    if power < -4 or power >= 6:  # as strconv decides it for the shortest form
        fraction = f".{text[1:]}" if len(text) > 1 else ""
        return f"{prefix}{text[0]}{fraction}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if point <= 0:
        return f"{prefix}0.{'0' * -point}{text}"
    if point >= len(text):
        return prefix + text + "0" * (point - len(text))
    return f"{prefix}{text[:point]}.{text[point:]}"


def to_bool(value: Any, place: Place) -> bool:
    """A boolean; strings, which may come from a variable, are parsed by YAML 1.1.

    Raises:
        UsageError: the value is not a boolean.
    """
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else ""
    if word in ("true", "y", "yes", "on"):
        return True
    if word in ("false", "n", "no", "off"):
        return False
    raise place.refuses(f"“{excerpt(value)}” is neither true nor false", "write true or false")


def to_int(value: Any, place: Place, *, least: int | None = None, most: int | None = None) -> int:
    """An integer, also from a string, which may come from a variable.

    Raises:
        UsageError: the value is not an integer, or out of range.
    """
    number = whole_number(value) if not isinstance(value, str) or value == value.strip() else None
    if number is None and isinstance(value, float) and abs(value) < 2**53:
        number = int(value)
    if number is None:
        raise place.refuses(f"“{excerpt(value)}” is not a whole number", "write a number like 3")
    if (least is not None and number < least) or (most is not None and number > most):
        limits = f"from {least}" if most is None else f"from {least} to {most}"
        raise place.refuses(f"{number} is out of range", f"write a number {limits}")
    return number


def size_bytes(text: str, place: Place) -> int:
    """A size in bytes: all units are binary, even `8gb`, and a bare number is bytes (docker/go-units, `RAMInBytes`).

    Raises:
        UsageError: the text is not a size.
    """
    match = _SIZE.fullmatch(text)
    factor = 0 if match is None else 1024 ** _POWERS[match[2].lower()]
    try:
        size = int(float(match[1]) * factor) if match else -1
    except (OverflowError, ValueError):
        size = -1
    if match is None or size < 0 or size > 2**63 or (match[3] and not match[4] and match[2]):
        raise place.refuses(f"“{excerpt(text)}” is not a size", "write it like 512mb or 8g")
    return size


def duration_ns(text: str, place: Place) -> int:
    """The nanoseconds of a duration such as `1m30s`, `1.5h` or `1d`.

    Raises:
        UsageError: the text is not a duration.
    """
    bare = text[1:] if text[:1] in ("+", "-") else text
    parts = _DURATION.findall(bare) if len(bare) < 100 else []
    total = sum(int(Decimal(number) * _NANOSECONDS[unit]) for number, unit in parts)
    if bare == "0":
        return 0
    if not parts or "".join(number + unit for number, unit in parts) != bare or total >= 2**63:
        raise place.refuses(f"“{excerpt(text)}” is no duration", "write it like 30s or 1m30s")
    return -total if text.startswith("-") else total


def duration_text(nanoseconds: int) -> str:
    """A duration as Go formats it: `1h30m0s`, `500ms`."""
    sign, remaining = ("-" if nanoseconds < 0 else ""), abs(nanoseconds)
    if remaining == 0:
        return "0s"
    if remaining < 10**9:
        unit, factor = next(
            (unit, factor) for unit, factor in (("ms", 10**6), ("µs", 10**3), ("ns", 1)) if remaining >= factor
        )
        return f"{sign}{_plain(Decimal(remaining) / factor)}{unit}"
    minutes, remaining_ns = divmod(remaining, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_plain(Decimal(remaining_ns) / 10**9)}s"
    return sign + (f"{hours}h{minutes}m{seconds}" if hours else f"{minutes}m{seconds}" if minutes else seconds)


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def command_words(text: str, place: Place) -> list[str]:  # noqa: PLR0912 - one branch per character
    """The words of a command given as a string (mattn/go-shellwords, which Compose uses to split it): everything after
    an unquoted `;`, `|`, `&`, `<` or `>` is dropped, because no shell runs it.

    Raises:
        UsageError: its quotes are not closed.
    """
    words: list[str] = []
    word: list[str] = []
    in_word = False
    quote = ""
    position = 0
    while position < len(text):
        sign = text[position]
        position += 1
        if sign == "\\" and quote != "'":
            word.append(text[position : position + 1])
            in_word, position = True, position + 1
        elif quote:
            if sign == quote:
                quote = ""
            else:
                word.append(sign)
        elif sign in "'\"":
            quote, in_word = sign, True
        elif sign == "`" or (sign == "$" and text[position : position + 1] == "("):
            end = text.find("`" if sign == "`" else ")", position)
            if end < 0:
                raise place.refuses("its quotes are not closed", "close them")
            word.append(text[position - 1 : end + 1])
            in_word, position = True, end + 1
        elif sign in "()":
            raise place.refuses(f"“{sign}” outside quotes is no part of a command", "put quotes around it")
        elif sign in " \t\r\n":
            if in_word:
                words.append("".join(word))
            word, in_word = [], False
        elif sign in ";|&<>":
            if in_word and not (sign in "<>" and "".join(word) in ("0", "1", "2")):
                words.append("".join(word))
            return words
        else:
            word.append(sign)
            in_word = True
    if quote:
        raise place.refuses("its quotes are not closed", "close them")
    return [*words, "".join(word)] if in_word else words
