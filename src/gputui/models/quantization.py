"""How the weights of a model are quantised, according to its configuration, for all common tools."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gputui.domain.text import clean, mapping, sequence, whole_number

WIDEST_GROUP = 65_536
MOST_PATTERNS = 2000
"""Some tools list every layer by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """`kind` is the method under a common name for all tools: `fp8`, `fp4`, `int8`, `wna16` (low-bit weights, computed
    in 16 bits), else the name in the configuration. `group_size` weights share a scale; `in_blocks`: in both
    dimensions. `left_out` are patterns of layers that are not quantised."""

    kind: str | None = None
    group_size: int | None = None
    in_blocks: bool = False
    left_out: tuple[str, ...] = ()


def read_quantization(raw_config: Any) -> Quantization:
    """The quantization that a `quantization_config` describes."""
    config = mapping(raw_config)
    method = config.get("quant_method") or config.get("quant_algo")
    if not isinstance(method, str):
        return Quantization()
    kind = clean(method, 40).lower()
    block = sequence(config.get("weight_block_size"))
    left_out = _left_out(config)
    if block:
        return Quantization(kind=_plain(kind, config), group_size=_group(block[0]), in_blocks=True, left_out=left_out)
    if kind == "compressed-tensors":
        return replace(_compressed(config), left_out=left_out)
    return Quantization(kind=_plain(kind, config), group_size=_group(config.get("group_size")), left_out=left_out)


def _left_out(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The layers that are not quantised; each tool has its own key. The head and the router are ignored: no tool
    quantises them."""
    patterns = [
        name
        for key in ("ignore", "ignored_layers", "modules_to_not_convert", "exclude_modules")
        for name in sequence(config.get(key))
        if isinstance(name, str) and not re.search(r"lm_head|gate$|gate\W*$|embed|norm|router|vis", name)
    ]
    return tuple(dict.fromkeys(clean(name, 100) for name in patterns[:MOST_PATTERNS]))


def _plain(kind: str, config: Mapping[str, Any]) -> str:
    if kind.startswith("modelopt"):
        inner = mapping(config.get("quantization"))
        algorithm = str(config.get("quant_algo") or inner.get("quant_algo") or kind).lower()
        return "fp4" if "fp4" in algorithm else "fp8" if "fp8" in algorithm or "mixed" in algorithm else algorithm
    return "fp8" if kind in ("fbgemm_fp8", "fp8") else kind


def _compressed(config: Mapping[str, Any]) -> Quantization:
    """compressed-tensors describes each group of layers; the first group with a bit width is used."""
    for group in mapping(config.get("config_groups")).values():
        weights = mapping(mapping(group).get("weights"))
        bits = whole_number(weights.get("num_bits"), least=1, most=64)
        if bits is None:
            continue
        is_float = weights.get("type") == "float"
        if is_float:
            kind = "fp8" if bits == 8 else "fp4" if bits == 4 else "compressed-tensors"
        else:
            kind = "int8" if bits == 8 and mapping(group).get("input_activations") else "wna16"
        block = sequence(weights.get("block_structure"))
        size = _group(block[0]) if block else _group(weights.get("group_size"))
        return Quantization(kind=kind, group_size=size, in_blocks=bool(block))
    return Quantization(kind="compressed-tensors")


def _group(value: Any) -> int | None:
    return whole_number(value, least=1, most=WIDEST_GROUP)
