"""RoPE scaling of a model, which determines the maximum length of its context."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gputui.domain.text import mapping, real_number, whole_number

_AS_TOLD = ("default", "mrope", "su", "longrope", "llama3")
"""Kinds with which `max_position_embeddings` is already the scaled length."""
LARGEST_FACTOR = 10_000
"""Larger factors are considered invalid."""
_YARN = ("yarn", "deepseek_yarn")


@dataclass(frozen=True, slots=True)
class Rope:
    """The kind of scaling, its factor, and the original positions, if specified."""

    kind: str
    factor: float | None = None
    original: int | None = None


def rope_of(config: Mapping[str, Any]) -> Rope | None:
    """The scaling in `rope_scaling`, or in `rope_parameters`, its name in newer configurations."""
    settings = mapping(config.get("rope_scaling")) or mapping(config.get("rope_parameters"))
    kind = settings.get("rope_type") or settings.get("type")
    if not isinstance(kind, str):
        # One per kind of layer: the one that scales counts.
        layer_ropes = (rope_of({"rope_scaling": part}) for part in settings.values() if isinstance(part, Mapping))
        return next((rope for rope in layer_ropes if rope is not None and rope.factor not in (None, 1.0)), None)
    original = whole_number(settings.get("original_max_position_embeddings"), least=1)
    return Rope(kind[:40], real_number(settings.get("factor")), original)


def longest_context(positions: int | None, rope: Rope | None, *, keeps_original: bool = False) -> int | None:
    """The longest context in tokens; None if unknown.

    The factor times the positions, for yarn times the original positions; not for kinds that specify the scaled length
    (vLLM, `_get_and_verify_max_len`). SGLang does not scale if the original positions are specified (`keeps_original`;
    its `get_context_length`).
    """
    if positions is None or rope is None or rope.factor is None or rope.kind in _AS_TOLD:
        return positions
    if not 0 < rope.factor <= LARGEST_FACTOR:
        return positions
    if rope.original is not None and keeps_original:
        return positions
    base = (rope.original or positions) if rope.kind in _YARN else positions
    return int(base * rope.factor)
