"""`config.json` of a model in the layout of Hugging Face, as an architecture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gputui.domain.model import Architecture
from gputui.domain.text import clean
from gputui.weights.errors import BadFile
from gputui.weights.regular_file import open_regular

LONGEST_CONFIG = 4 * 2**20
"""Bytes; the longest known ones list every quantised module and have a few hundred KiB."""

_OBJECT = TypeAdapter(dict[str, object])


class _Counts(BaseModel):
    """The figures that are read, each possibly missing; any other type of value counts as missing."""

    model_config = ConfigDict(extra="ignore", defer_build=True)

    num_hidden_layers: int | None = Field(None, ge=1, le=100_000)
    num_attention_heads: int | None = Field(None, ge=1, le=100_000)
    num_key_value_heads: int | None = Field(None, ge=1, le=100_000)
    head_dim: int | None = Field(None, ge=1, le=100_000)
    hidden_size: int | None = Field(None, ge=1, le=10_000_000)
    intermediate_size: int | None = Field(None, ge=1, le=100_000_000)
    vocab_size: int | None = Field(None, ge=1, le=100_000_000)
    max_position_embeddings: int | None = Field(None, ge=1, le=2**31)
    num_experts: int | None = Field(None, ge=1, le=1_000_000)
    kv_lora_rank: int | None = Field(None, ge=1, le=1_000_000)
    qk_rope_head_dim: int | None = Field(None, ge=1, le=1_000_000)
    sliding_window: int | None = Field(None, ge=1, le=2**31)


_ELSEWHERE = {
    "num_hidden_layers": ("n_layer", "num_layers", "n_layers"),
    "num_attention_heads": ("n_head", "n_heads"),
    "num_key_value_heads": ("num_kv_heads", "multi_query_group_num"),
    "hidden_size": ("n_embd", "d_model", "dim"),
    "intermediate_size": ("ffn_hidden_size", "n_inner"),
    "max_position_embeddings": ("n_positions", "n_ctx", "max_sequence_length", "seq_length"),
    "num_experts": ("num_local_experts", "n_routed_experts", "moe_num_experts"),
}
"""What older configurations call the same figure."""


def read_object(path: Path, limit: int) -> dict[str, object]:
    """A JSON file that holds one object.

    Raises:
        BadFile: it is longer than `limit` bytes, or holds something else.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        raw = file.read(limit + 1)
    if len(raw) > limit:
        raise BadFile(f"{path.name} is longer than {limit // 2**20} MiB", "look whether it is the right file")
    try:
        return _OBJECT.validate_json(raw)
    except (ValidationError, RecursionError):
        raise BadFile(f"{path.name} holds no JSON object", "download it again") from None


def read_config(path: Path) -> Architecture:
    """The architecture that a `config.json` describes; what it does not tell is None.

    Raises:
        BadFile: it is too long or no JSON object.
        OSError: it cannot be read.
    """
    return architecture_of(read_object(path, LONGEST_CONFIG))


def architecture_of(config: Mapping[str, object]) -> Architecture:
    """The architecture that a configuration describes. The part for text decides where there are several."""
    text = next((config[key] for key in ("text_config", "llm_config", "language_config") if _is(config.get(key))), None)
    inner = {**config, **text} if isinstance(text, Mapping) else dict(config)
    counts = _counts(inner)
    heads, hidden = counts.num_attention_heads, counts.hidden_size
    head_dim = counts.head_dim
    if head_dim is None and heads and hidden and hidden % heads == 0:
        head_dim = hidden // heads
    attention, windowed = _kinds_of_layers(inner, counts)
    quantization = inner.get("quantization_config") or config.get("quantization_config")
    return Architecture(
        name=_name(config),
        layers=counts.num_hidden_layers,
        heads=heads,
        kv_heads=counts.num_key_value_heads or heads,
        head_dim=head_dim,
        hidden=hidden,
        intermediate=counts.intermediate_size,
        vocabulary=counts.vocab_size,
        context=counts.max_position_embeddings,
        experts=counts.num_experts,
        kv_lora_rank=counts.kv_lora_rank,
        rope_head_dim=counts.qk_rope_head_dim,
        window=counts.sliding_window if windowed else None,
        window_layers=windowed,
        attention_layers=attention,
        vision_heads=_vision_heads(config),
        dtype=_dtype(inner),
        quantization=_method(quantization),
        group_size=_group_size(quantization),
    )


def _is(value: object) -> bool:
    return isinstance(value, Mapping)


def _counts(config: Mapping[str, object]) -> _Counts:
    kept: dict[str, Any] = {}
    for name in _Counts.model_fields:
        for key in (name, *_ELSEWHERE.get(name, ())):
            value = config.get(key)
            if isinstance(value, int) and not isinstance(value, bool):
                try:
                    _Counts.model_validate({name: value})
                except ValidationError:
                    continue
                kept[name] = value
                break
    return _Counts.model_validate(kept)


def _name(config: Mapping[str, object]) -> str | None:
    names = config.get("architectures")
    if isinstance(names, Sequence) and names and isinstance(names[0], str):
        return clean(names[0], 80)
    kind = config.get("model_type")
    return clean(kind, 80) if isinstance(kind, str) else None


def _dtype(config: Mapping[str, object]) -> str | None:
    value = config.get("dtype") or config.get("torch_dtype")
    return clean(value, 20).removeprefix("torch.") if isinstance(value, str) else None


def _kinds_of_layers(config: Mapping[str, object], counts: _Counts) -> tuple[int | None, int]:
    """How many layers keep keys and values at all, and how many of those only within the window.

    `layer_types` names each layer's kind; where there is none, `sliding_window_pattern` N leaves out every Nth layer
    (gemma3: 6), `use_sliding_window` says whether the window holds, and Mistral's holds for all layers.
    """
    layers = counts.num_hidden_layers
    kinds = config.get("layer_types") or config.get("layers_block_type")
    if isinstance(kinds, Sequence) and not isinstance(kinds, str) and len(kinds) == layers:
        words = [str(kind)[:40] for kind in kinds]
        windowed = sum("sliding" in word or "chunked" in word for word in words)
        attention = sum(("attention" in word or word == "hybrid") and "linear" not in word for word in words)
        return attention, windowed if counts.sliding_window else 0
    if layers is None or counts.sliding_window is None or config.get("use_sliding_window") is False:
        return layers, 0
    kind = config.get("model_type")
    pattern = config.get("sliding_window_pattern", 6 if str(kind).startswith("gemma3") else None)
    if isinstance(pattern, int) and not isinstance(pattern, bool) and pattern > 1:
        return layers, layers - layers // pattern
    if kind == "gemma2":
        return layers, layers // 2
    # Elsewhere the window may hold for some layers only; counting all of them whole is the upper bound.
    return layers, layers if kind == "mistral" or config.get("use_sliding_window") is True else 0


def _vision_heads(config: Mapping[str, object]) -> int | None:
    vision = config.get("vision_config")
    if not isinstance(vision, Mapping):
        return None
    for key in ("num_attention_heads", "num_heads"):
        value = vision.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 100_000:
            return value
    return None


def _method(found: object) -> str | None:
    if not isinstance(found, Mapping):
        return None
    method = found.get("quant_method") or found.get("quant_algo")
    return clean(method, 40).lower() if isinstance(method, str) else None


def _group_size(found: object) -> int | None:
    if not isinstance(found, Mapping):
        return None
    block = found.get("weight_block_size")
    value = (
        block[0] if isinstance(block, Sequence) and block and not isinstance(block, str) else found.get("group_size")
    )
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 65_536 else None
