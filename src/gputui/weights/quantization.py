"""How the weights of a model are quantised, by its configuration, whatever tool wrote it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gputui.domain.outside import mapping, sequence, whole_number
from gputui.domain.text import clean

WIDEST_GROUP = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """`kind` is the method by one name for all tools: `fp8`, `fp4`, `int8`, `wna16` (weights of few bits, computed in
    16), else what the configuration calls it. `group_size` weights share a scale; `in_blocks`: in both directions."""

    kind: str | None = None
    group_size: int | None = None
    in_blocks: bool = False


def read_quantization(found: Any) -> Quantization:
    """What a `quantization_config` says."""
    config = mapping(found)
    method = config.get("quant_method") or config.get("quant_algo")
    if not isinstance(method, str):
        return Quantization()
    kind = clean(method, 40).lower()
    block = sequence(config.get("weight_block_size"))
    if block:
        return Quantization(kind=_plain(kind, config), group_size=_group(block[0]), in_blocks=True)
    if kind == "compressed-tensors":
        return _compressed(config)
    return Quantization(kind=_plain(kind, config), group_size=_group(config.get("group_size")))


def _plain(kind: str, config: Mapping[str, Any]) -> str:
    if kind.startswith("modelopt"):
        inner = mapping(config.get("quantization"))
        algorithm = str(config.get("quant_algo") or inner.get("quant_algo") or kind).lower()
        return "fp4" if "fp4" in algorithm else "fp8" if "fp8" in algorithm or "mixed" in algorithm else algorithm
    return "fp8" if kind in ("fbgemm_fp8", "fp8") else kind


def _compressed(config: Mapping[str, Any]) -> Quantization:
    """compressed-tensors describes each group of layers; the first that says anything counts."""
    for group in mapping(config.get("config_groups")).values():
        weights, bits = mapping(mapping(group).get("weights")), None
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
