"""Sanitises untrusted text for display; nothing else does.

Container logs, names, labels, image tags, process command lines and error texts can contain escape sequences; neither
Textual nor Rich removes them, so a log line could set the reader's clipboard (OSC 52).
"""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

# ECMA-48: CSI; then OSC, DCS, SOS, PM and APC with their string up to BEL or ST; then any other two-character escape.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")

LINE_LIMIT = 8192
"""Maximum characters of a line; a progress bar or a binary dump can be megabytes long."""


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code == 0x7F:
        return "\u2421"
    if code < 0x20:
        return chr(0x2400 + code)
    return "\ufffd"


def clean(text: str, limit: int = LINE_LIMIT) -> str:
    """One line of text without escape sequences, control or direction-changing characters, at most `limit` long.

    Escape sequences are removed, other control characters become their visible pictures (U+2400...), tabs and line
    breaks a space.
    """
    if len(text) > limit:
        text = text[:limit] + "…"
    if not _CONTROL.search(text):
        return text
    text = _ESCAPES.sub("", text)
    return _CONTROL.sub(_picture, text.replace("\t", " ").replace("\r\n", " ").replace("\n", " "))


def with_fix(problem: str, fix: str | None) -> str:
    """A problem and its fix in one line."""
    return f"{problem} — {fix}" if fix else problem


def clean_log_line(raw: bytes) -> str:
    """A log line as text: invalid UTF-8 replaced, tabs expanded, and only the last state of a progress bar."""
    head = raw[: LINE_LIMIT * 4] if b"\r" not in raw else raw
    text = head.decode("utf-8", errors="replace").rstrip("\r\n")
    if "\r" in text:
        text = text.rsplit("\r", 1)[1]
    return clean(text.expandtabs(8))


SECRET = re.compile(
    r"(?i)((?<!max_)(?<!max-)token$|_token(?!s)|-token$|secret|passw(or)?d|passphrase|credential|api[_-]?key|_key$|private)"
)


MASK = "••••"


def mask_secret(name: str, value: str) -> str:
    """The value of a variable or argument for display; masked if its `name` indicates a secret."""
    return MASK if SECRET.search(name) else clean(value)


_OPTION = re.compile(r"^--?([A-Za-z][\w-]*)(=.*)?$")


_GIVEN = re.compile(
    r"(?<![\w-])(--?[A-Za-z][\w-]*(?:=|[ \t]+)|[A-Za-z_]\w*=)(\"[^\"]*\"|'[^']*'|[^\s;&|<>\"'-][^\s;&|<>\"']*)"
)


def mask_script(script: str) -> str:
    """A shell script for display: the values of options and variables whose names indicate secrets are masked. Line
    breaks stay, because they are significant."""

    def masked(match: re.Match[str]) -> str:
        name = match[1].rstrip("= \t").replace("-", "_")
        return f"{match[1]}••••" if SECRET.search(name) else match[0]

    return "\n".join(clean(_GIVEN.sub(masked, line), 32_768) for line in script.split("\n"))


def mask_words(words: Sequence[str]) -> tuple[str, ...]:
    """A command line for display, including shell scripts in it (`sh -c …`), with secrets masked."""
    masked_words = mask_command(words)
    return tuple(
        masked if " " not in word.strip() and "\n" not in word else clean(mask_script(word).replace("\n", "; "), 32_768)
        for word, masked in zip(words, masked_words, strict=True)
    )


def mask_command(words: Sequence[str]) -> tuple[str, ...]:
    """A command line for display: the values of options whose names indicate secrets are masked."""
    masked_words: list[str] = []
    hide_next = False
    for word in words:
        option = _OPTION.match(word)
        if hide_next and not option:
            masked_words.append(MASK)
            hide_next = False
            continue
        hide_next = False
        name, sign, value = word.partition("=")
        if sign and SECRET.search(name):
            masked_words.append(f"{clean(name)}={mask_secret(name, value)}")
            continue
        hide_next = bool(option and not sign and SECRET.search(word.replace("-", "_")))
        masked_words.append(clean(word))
    return tuple(masked_words)


LARGEST = 2**63 - 1
"""The largest integer of engines, SQLite and NVML."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,4})?")


def whole_number(value: object, *, least: int = -LARGEST - 1, most: int = LARGEST) -> int | None:
    """An integer from `least` to `most`, given as a number or in ASCII digits; None for anything else."""
    number: int
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        number = value
    elif isinstance(value, float):
        if not value.is_integer() or abs(value) > LARGEST:
            return None
        number = int(value)
    elif isinstance(value, str) and _WHOLE.fullmatch(text := value.strip()):
        number = int(text)
    else:
        return None
    return number if least <= number <= most else None


def real_number(value: object) -> float | None:
    """A finite number, given as a number or in ASCII digits; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return float(value) if abs(value) <= LARGEST else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str) and _DECIMAL.fullmatch(text := value.strip()):
        number = float(text)
        return number if math.isfinite(number) else None
    return None


def mapping(value: object) -> Mapping[str, Any]:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> Sequence[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, (list, tuple)) else ()


@lru_cache(maxsize=512)
def moment(text: str) -> float | None:
    """An RFC 3339 time in seconds since the epoch; None if invalid."""
    head, dot, fraction = text.partition(".")
    if dot:
        # Engines write nanoseconds; Python parses six digits.
        digits = fraction[: len(fraction) - len(fraction.lstrip("0123456789"))]
        text = f"{head}.{digits[:6].ljust(6, '0')}{fraction[len(digits) :]}"
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None
