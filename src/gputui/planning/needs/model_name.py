"""The name of a service's model, and the size it implies if nothing better is known."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

from gputui.domain.text import real_number, whole_number

_PARAMETERS = re.compile(r"(?<![A-Za-z0-9.])(?:(\d+)x)?(\d+(?:\.\d+)?)([bBmM])(?![A-Za-z0-9])")

_NAMED_EXPERTS = re.compile(r"(?<![A-Za-z0-9])(?:\d+x\d+(?:\.\d+)?[bB]|[aA]\d+(?:\.\d+)?[bB])(?![A-Za-z0-9])")
_ACTIVE_ONLY = re.compile(r"\d+[bB][-_]\d+[eE](?![A-Za-z0-9])")
"""`17B-16E` is the active size of a model with 16 experts, not its total size."""

# Bytes per parameter by patterns in names; the first match wins. GGUF mixes: llama.cpp tools/quantize.
_WIDTHS = (
    (r"q2_k", 3.16 / 8), (r"q3_k", 4.0 / 8), (r"iq4_xs", 4.46 / 8), (r"q4_0|q4_k_s", 4.67 / 8),
    (r"q4_k_m|q4_k|q4_1", 4.89 / 8), (r"q5_", 5.7 / 8), (r"q6_k", 6.56 / 8), (r"q8_0", 8.5 / 8),
    (r"mxfp4|gpt_oss", 4.25 / 8),
    (r"awq|gptq|int4|4bit|w4a16|nf4|bnb|bitsandbytes|fp4", 0.6), (r"fp8|int8|8bit|w8a8|w8a16", 1.0),
    (r"fp32|float32|f32", 4.0),
)  # fmt: skip


_OPTIONS = ("--model", "--model-path", "--model-id", "-m")
_VARIABLES = ("MODEL_ID", "LLAMA_ARG_MODEL", "MODEL_PATH", "MODEL", "MODEL_NAME")


def model_of(words: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """The model in the command line's usual options, else in a variable; the served name only as a last resort."""
    return (
        _value(words, _OPTIONS)
        or _served(words)
        or next((environment[name] for name in _VARIABLES if environment.get(name)), None)
        or _value(words, ("--served-model-name", "--alias"))
    )


def _value(words: Sequence[str], options: Sequence[str]) -> str | None:
    module = _module_place(words)
    for place, word in enumerate(words):
        name, _, value = word.partition("=")
        if name in options and place != module:
            return value or (words[place + 1] if place + 1 < len(words) else None)
    return None


_PYTHON = re.compile(r"(^|/)python[\d.]*$")


def _module_place(words: Sequence[str]) -> int | None:
    """The position of Python's own `-m`, before any script."""
    python = next((place for place, word in enumerate(words[:12]) if _PYTHON.search(word)), None)
    if python is None:
        return None
    place = python + 1
    while place < len(words) and words[place].startswith("-"):
        if words[place] == "-m":
            return place
        place += 2 if words[place] in ("-X", "-W") else 1
    return None


def _served(words: Sequence[str]) -> str | None:
    """The argument of `serve`: directly after it, or after options and their values."""
    for place, word in enumerate(words[:-1]):
        following = words[place + 1 :]
        if word not in ("serve", "trtllm-serve") or following[0] == "serve":
            continue
        if following[0] in ("api_server", "api_server_old"):  # lmdeploy serve api_server MODEL
            following = following[1:]
            if not following:
                continue
        if not following[0].startswith("-"):
            return following[0]
        pairs = pairwise(following)
        return next(
            (argument for previous, argument in pairs if not argument.startswith("-") and not previous.startswith("-")),
            None,
        )
    return None


def names_experts(name: str) -> bool:
    """Whether a name implies a mixture of experts: `8x7B`, `30B-A3B`."""
    return _NAMED_EXPERTS.search(name) is not None


@lru_cache(maxsize=4096)
def weights_by_name(name: str) -> int | None:
    """Bytes of weights that a name such as `Qwen2.5-72B-Instruct-AWQ` implies; None if it implies no size.

    In `30B-A3B` the first figure counts: all experts stay in memory. `8x7B` counts as 8 × 7 (somewhat too much, as the
    experts share their attention). Names without a width mean 16 bits.
    """
    match = _PARAMETERS.search(name.rsplit("/", 1)[-1].replace("_", "-")) or _PARAMETERS.search(name)
    if match is None or _ACTIVE_ONLY.search(name):
        return None
    count = (real_number(match[2]) or 0.0) * (1e9 if match[3] in "bB" else 1e6) * (whole_number(match[1] or 1) or 0)
    if not 1e6 <= count <= 1e13:
        return None
    lower = name.lower().replace("-", "_")
    width = next((width for pattern, width in _WIDTHS if re.search(pattern, lower)), 2.0)
    return int(count * width)
