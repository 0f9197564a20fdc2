"""Junk for readers of what comes from outside: texts, numbers, whole documents, and good documents that were bent."""

import copy
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from gputui.domain.errors import GputuiError

TIMES = int(os.environ.get("GPUTUI_JUNK_TIMES", "1"))
"""How many times as many examples are tried as usual."""

LIMIT_S = 10.0
"""Seconds for one example; a reader that takes longer is held up for good by somebody's file."""


class Raw(str):
    """A piece of a document that is written as it is."""


def tried(examples: int) -> settings:
    """How a property is tried."""
    return settings(
        max_examples=examples * TIMES,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # to make what fails shorter takes minutes where documents are deep
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
        ],
    )


@contextmanager
def own_errors_only(limit_s: float = LIMIT_S) -> Iterator[None]:
    """What is done inside ends in time, and raises nothing but gputui's own errors, of one line each."""

    def late(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"it takes longer than {limit_s} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    except GputuiError as error:
        assert "\n" not in error.line
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


DIGITS = "9" * 5000
NASTY_NUMBERS = [
    "²", "１２", "①", "٣", DIGITS, f"-{DIGITS}", "-1", "+1", "--1", "0", "00", "1e999", "-1e999", "1e308", "1e-400",
    "NaN", "nan", "inf", "Infinity", "0x10", "1_000", "1.5", ".5", "1.", "true", "9223372036854775807",
    "9223372036854775808", "18446744073709551616", "4294967295", "99999",
]  # fmt: skip
NASTY_SIGNS = [
    "", " ", "\0", "a\0b", "\n", "\r\n", "\t", "\x1b[2J", "\x1b]52;c;aGk=\x07", "\x7f", "\x85", "\u2028", "\ufeff",
    "\u202e", "\U0001f600", "é", ",", ":", "/", "..", "../../..", "=", "#", "$", "${", "${A", "${A:-${B}}", "%s", "{}",
    "[]", "null", "None", "~", "-", "--", "'", '"', "\\", "a" * 10_000, "all", "none", "void", "host", "container:",
    "container:\0", "GPU-", "0,1,2", "0,²", ",,,", "a=b", "key: value",
]  # fmt: skip
SURROGATES = ["\ud800", "a\udcffb", "\udfff\ud800", "\ud83d"]

utf8_texts = st.sampled_from(NASTY_NUMBERS + NASTY_SIGNS) | st.text(max_size=12)
"""Texts that a file in UTF-8 can hold."""
texts = utf8_texts | st.sampled_from(SURROGATES) | st.text(st.characters(), max_size=12)
"""Any texts; JSON and YAML can say halves of surrogate pairs in ASCII."""

numbers = (
    st.sampled_from([-1, 0, 1, 2, 7, 65536, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**4000])
    | st.integers()
    | st.sampled_from([0.5, -0.0, 1e308, -1e308, 5e-324, math.inf, -math.inf, math.nan, 1e18, 2.0**63])
)
scalars = st.none() | st.booleans() | numbers | texts


def nested(depth: int) -> Any:
    """Lists in maps in lists, many times."""
    value: Any = "x"
    for at in range(depth):
        value = [value] if at % 2 else {"a": value}
    return value


values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=8
) | st.sampled_from([40, 200]).map(nested)
"""Anything that JSON can say."""

maps = st.dictionaries(texts, values, max_size=5)

YAML_TOKENS = [
    "2020-99-99", "2020-01-01T99:99:99Z", "!!int x", "!!int ''", "!!float x", "!!binary 'é'", "!!binary '='",
    "!!timestamp x", "!!bool x", "!!set {a: 1}", "!!omap [a]", "!!pairs [[a]]", "!!null x", "!!str [a]", "!!map [a]",
    "!!python/object:os.system x", "!reset x", "!reset [a]", "!override 3", "!override [a]", "!override {a: !reset b}",
    "!unknown x", "&a [*a]", "&a {a: *a}", "*nothing", "{<<: 3}", "{<<: [3]}", "{<<: {a: 1}, a: 2}", "{a: 1, a: 2}",
    "{[a]: b}", "{{a: b}: c}", "{1: 2}", "{null: 1}", "{true: 1}", "{1.5: 2}", "{.nan: 1}", "0x", "0b_", "0o9", "08",
    "0_0", "_", "+", ".", "._", "1:30", "190:20:30", "=", "<<", "!!value =", "? a", "@a", "`a", "%a", "[", "}", "'",
    '"\\ud800"', '"\\0"', '"\\x', "|", ">", "- a", "---", "...", "2020-01-01", "0.1e+99999", DIGITS, f"0x{DIGITS}",
    f"0b{'1' * 5000}", f"{DIGITS}.5", ".inf", "-.inf", ".nan", "1e999",
]  # fmt: skip
yaml_values = values | st.sampled_from(YAML_TOKENS).map(Raw)
"""Anything that YAML can say, and some things that it cannot."""


def _number(value: float, yaml: bool) -> str:
    if isinstance(value, int):
        return str(value) if abs(value) < 10**3000 else DIGITS
    if math.isfinite(value):
        return repr(value)
    if yaml:
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    return "NaN" if math.isnan(value) else "1e999" if value > 0 else "-1e999"


def written(value: Any, *, yaml: bool = False, twice: bool = False) -> str:
    """The value as JSON, or as YAML in the form of JSON; `twice`: the first key of each map is there twice."""
    match value:
        case Raw():
            return str(value)
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return _number(value, yaml)
        case str():
            return json.dumps(value)
        case list() | tuple():
            return "[" + ", ".join(written(one, yaml=yaml, twice=twice) for one in value) + "]"
        case Mapping():
            pairs = [f"{json.dumps(str(key))}: {written(one, yaml=yaml, twice=twice)}" for key, one in value.items()]
            again = [f"{json.dumps(str(key))}: null" for key in list(value)[: int(twice)]]
            return "{" + ", ".join([*again, *pairs]) + "}"
    raise TypeError(value)


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if len(at) > 10:
        return
    if at:
        yield at
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from _places(inner, (*at, key))


@st.composite
def bent(draw: st.DrawFn, good: Any, junk: st.SearchStrategy[Any] = values) -> Any:
    """A good document of which up to four values are gone, or are junk."""
    whole = [copy.deepcopy(good)]
    for _ in range(draw(st.integers(1, 4))):
        places = list(_places(whole))
        place = draw(st.sampled_from(places))
        inside = whole
        for key in place[:-1]:
            inside = inside[key]
        if len(place) > 1 and draw(st.integers(0, 4)) == 0:
            del inside[place[-1]]
        else:
            inside[place[-1]] = draw(junk)
    return whole[0]


def in_a_process(code: str, *arguments: str) -> None:
    """Run Python code that may take its whole process down; it is to end well."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"it ended with {done.returncode}: {done.stderr[-300:]}"


DEEP = [b"[" * 20_000, b'{"a":' * 6_000, b"[" * 900 + b"]" * 900, b'{"a":' * 900 + b"1" + b"}" * 900, b"- " * 1000]


@st.composite
def documents(draw: st.DrawFn, good: Any, *, yaml: bool = False, deep: bool = True) -> bytes:
    """A bent document as bytes: its keys there twice at times, cut off, or with a byte changed; `deep`: some are nested
    deeper than a reader can follow."""
    junk = yaml_values if yaml else values
    kind = draw(st.integers(0, 19))
    if kind == 0 and deep:
        return draw(st.sampled_from(DEEP))
    if kind == 1:
        return draw(st.binary(max_size=200))
    if kind == 2:
        return draw(utf8_texts).encode()
    value = draw(junk) if kind == 3 else draw(bent(good, junk))
    raw = written(value, yaml=yaml, twice=kind == 4).encode()
    if kind == 5:
        return raw[: draw(st.integers(0, len(raw)))]
    if kind == 6 and raw:
        at = draw(st.integers(0, len(raw) - 1))
        return raw[:at] + draw(st.binary(min_size=1, max_size=2)) + raw[at + 1 :]
    return raw
