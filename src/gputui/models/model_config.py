"""Reads the architecture of a model from its `config.json` (Hugging Face layout)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gputui.domain.model import Architecture
from gputui.domain.rope import longest_context, rope_of
from gputui.domain.text import clean, mapping, sequence, whole_number
from gputui.models.header_file import BadFile, open_regular
from gputui.models.quantization import read_quantization

LONGEST_CONFIG = 4 * 2**20
"""Bytes; the longest known files list every quantised module and have a few hundred KiB."""

_OBJECT = TypeAdapter(dict[str, object])


class _Counts(BaseModel):
    """The numeric settings, each optional; a value of the wrong type counts as missing."""

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
    expert_width: int | None = Field(None, ge=1, le=100_000_000)
    shared_expert_width: int | None = Field(None, ge=1, le=100_000_000)
    shared_experts: int | None = Field(None, ge=1, le=10_000)
    kv_lora_rank: int | None = Field(None, ge=1, le=1_000_000)
    qk_rope_head_dim: int | None = Field(None, ge=1, le=1_000_000)
    v_head_dim: int | None = Field(None, ge=1, le=1_000_000)
    sliding_window: int | None = Field(None, ge=1, le=2**31)


_ALIASES = {
    "num_hidden_layers": ("n_layer", "num_layers", "n_layers"),
    "num_attention_heads": ("n_head", "n_heads"),
    "num_key_value_heads": ("num_kv_heads", "multi_query_group_num", "kv_n_heads"),
    "head_dim": ("kv_channels",),
    "hidden_size": ("n_embd", "d_model", "dim"),
    "intermediate_size": ("ffn_hidden_size", "n_inner"),
    "max_position_embeddings": ("n_positions", "n_ctx", "max_sequence_length", "max_seq_len", "seq_length"),
    "num_experts": ("num_local_experts", "n_routed_experts", "moe_num_experts"),
    "expert_width": ("moe_intermediate_size", "expert_ffn_hidden_size"),
    "shared_expert_width": ("shared_expert_intermediate_size",),
    "shared_experts": ("n_shared_experts", "num_shared_experts"),
}
"""Alternative names of the same setting."""
_SMALL_PARTS = ("attn_config", "ffn_config")
"""Subsections of the text configuration that hold some of its settings (DBRX, MPT)."""
_TEXT = re.compile(r"text|llm|language|thinker|decoder")
_NOT_TEXT = re.compile(r"vision|visual|audio|image|speech|talker|code2wav|draft|mtp|encoder_config")
_DEEPEST = 4
_KIND = re.compile(r"attention|full|sliding|chunked|linear|mamba|conv|recurrent|hybrid|moe|mlp|ssm|rwkv")
"""Matches the known names of layer kinds."""
_MOE = re.compile(r"moe|mixtral|expert|dbrx|grok|jamba|deepseek_?v[23]|kimi_k2|gpt_?oss|arctic|phimoe", re.IGNORECASE)


def read_object(path: Path, limit: int) -> dict[str, object]:
    """A JSON file that holds one object.

    Raises:
        BadFile: it is longer than `limit` bytes, or not a JSON object.
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
    """The architecture that a `config.json` describes; unspecified properties are None.

    Raises:
        BadFile: it is too long or not a JSON object.
        OSError: it cannot be read.
    """
    config = read_object(path, LONGEST_CONFIG)
    quant_path = path.with_name("hf_quant_config.json")
    # ModelOpt writes its quantization settings to a separate file.
    if "quantization_config" not in config and quant_path.is_file():
        try:
            quantization_section = mapping(read_object(quant_path, LONGEST_CONFIG).get("quantization"))
        except (BadFile, OSError):
            quantization_section = {}
        if quantization_section:
            config = {**config, "quantization_config": {"quant_method": "modelopt", **quantization_section}}
    return architecture_of(config)


def architecture_of(config: Mapping[str, object]) -> Architecture:
    """The architecture that a configuration describes; of several parts, the text part decides."""
    inner = text_part(config)
    counts = _counts(inner)
    heads, hidden = counts.num_attention_heads, counts.hidden_size
    head_dim = counts.head_dim
    if head_dim is None and heads and hidden and hidden % heads == 0:
        head_dim = hidden // heads
    attention, windowed = _kinds_of_layers(inner, counts)
    quantization = read_quantization(
        inner.get("quantization_config") or config.get("quantization_config") or config.get("compression_config")
    )
    positions, rope = counts.max_position_embeddings, rope_of(inner)
    if str(_kind(inner) or _kind(config)).startswith("gemma3"):
        rope = None  # its positions are already scaled
    longest = whole_number(inner.get("model_max_length"), least=1, most=2**31)
    if positions is not None and longest is not None and longest > positions and rope is None:
        positions = longest
    dense, shared, expert = _widths(inner, counts)
    return Architecture(
        name=_name(config),
        kind=_kind(inner) or _kind(config),
        layers=counts.num_hidden_layers,
        heads=heads,
        kv_heads=_kv_heads(inner, counts),
        head_dim=head_dim,
        hidden=hidden,
        intermediate=counts.intermediate_size,
        vocabulary=counts.vocab_size,
        context=longest_context(positions, rope),
        positions=positions,
        rope=rope,
        experts=counts.num_experts,
        may_have_experts=counts.num_experts is None and _may_have_experts(config, counts),
        dense_width=dense,
        shared_width=shared,
        expert_width=expert,
        kv_lora_rank=counts.kv_lora_rank,
        rope_head_dim=counts.qk_rope_head_dim,
        value_head_dim=counts.v_head_dim,
        window=counts.sliding_window if windowed else None,
        window_layers=windowed,
        attention_layers=attention,
        sees=any(re.search(r"vision|visual|audio", key) for key, _ in _parts(config)),
        vision_heads=_vision_heads(config),
        dtype=_dtype(inner),
        quantization=quantization.kind,
        group_size=quantization.group_size,
        in_blocks=quantization.in_blocks,
        unquantised=quantization.left_out,
    )


def text_part(config: Mapping[str, object]) -> dict[str, object]:
    """The settings of the part that generates text, at any depth, merged over those of its parents.

    Several parts may have layers and heads (Qwen3-Omni has a thinker and a talker): parts with a name for text are
    preferred, then larger ones.
    """
    best: tuple[tuple[bool, int], dict[str, object]] | None = None
    for path, merged in _text_candidates(config, "", {}, 0):
        counts = _counts(merged)
        if counts.num_hidden_layers and counts.num_attention_heads:
            size = counts.num_hidden_layers * (counts.hidden_size or 1)
            rank = (bool(_TEXT.search(path)), size)
            if best is None or rank > best[0]:
                best = (rank, merged)
    if best is not None:
        return best[1]
    sections = (config[key] for key in ("text_config", "llm_config", "language_config") if _is_mapping(config.get(key)))
    inner: Any = next(sections, {})
    return _with_small_parts({**config, **inner})


def _text_candidates(
    part: Mapping[str, object], path: str, around: Mapping[str, object], depth: int
) -> Iterator[tuple[str, dict[str, object]]]:
    merged = {**around, **part}
    part_counts = _counts(_with_small_parts(part))
    if part_counts.num_hidden_layers and part_counts.num_attention_heads:
        yield path, _with_small_parts(merged)
    if depth >= _DEEPEST:
        return
    for key, value in part.items():
        if isinstance(value, Mapping) and not _NOT_TEXT.search(key) and key not in _SMALL_PARTS:
            yield from _text_candidates(value, f"{path}.{key}", merged, depth + 1)


def _with_small_parts(part: Mapping[str, object]) -> dict[str, object]:
    small_parts: dict[str, object] = {}
    for key in _SMALL_PARTS:
        small_parts |= mapping(part.get(key))
    ffn = mapping(part.get("ffn_config"))
    if "ffn_hidden_size" in ffn and "moe_num_experts" in ffn:
        small_parts["expert_width"] = ffn["ffn_hidden_size"]
    return {**small_parts, **part}


def _parts(config: Mapping[str, object], depth: int = 0) -> Iterator[tuple[str, Mapping[str, object]]]:
    """All nested parts with their keys."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield key, value
            if depth < _DEEPEST:
                yield from _parts(value, depth + 1)


def _kind(config: Mapping[str, object]) -> str | None:
    kind = config.get("model_type")
    return clean(kind, 80) if isinstance(kind, str) else None


def _may_have_experts(config: Mapping[str, object], counts: _Counts) -> bool:
    names = [str(_name(config)), *(str(_kind(part)) for part in (config, *(nested for _, nested in _parts(config))))]
    is_described = counts.num_hidden_layers and counts.num_attention_heads and counts.intermediate_size
    keys = [key for part in (config, *(nested for _, nested in _parts(config))) for key, value in part.items() if value]
    return not is_described or any(_MOE.search(name) for name in names) or any("expert" in key for key in keys)


def _kv_heads(config: Mapping[str, object], counts: _Counts) -> int | None:
    """The number of KV heads; some models always use a single one, regardless of the setting (vLLM,
    `ModelConfig.get_total_num_kv_heads`)."""
    shared = config.get("multi_query") is True and config.get("new_decoder_architecture") is not True
    if shared and config.get("model_type") in ("falcon", "RefinedWeb", "RefinedWebModel", "gpt_bigcode"):
        return 1
    if counts.num_key_value_heads is None and counts.num_attention_heads:
        # Nemotron-NAS specifies them per layer.
        blocks = (mapping(mapping(block).get("attention")) for block in sequence(config.get("block_configs")))
        groups = [
            group
            for attention in blocks
            if (group := whole_number(attention.get("n_heads_in_group"), least=1)) is not None
        ]
        if groups:
            return max(1, counts.num_attention_heads // min(groups))
    return counts.num_key_value_heads or counts.num_attention_heads


def _widths(config: Mapping[str, object], counts: _Counts) -> tuple[int | None, int | None, int | None]:
    """The widths of dense layers (if any), of shared experts, and of the other experts."""
    if counts.num_experts is None:
        return counts.intermediate_size, None, None
    expert = counts.expert_width or counts.intermediate_size
    shared = counts.shared_expert_width
    if shared is None and counts.shared_experts and counts.expert_width:
        shared = counts.shared_experts * counts.expert_width

    def more_than(key: str, least: int) -> bool:
        return (whole_number(config.get(key)) or 0) > least

    frequency = config.get("moe_layer_freq")
    has_dense = (
        more_than("first_k_dense_replace", 0)
        or more_than("decoder_sparse_step", 1)
        or more_than("interleave_moe_layer_step", 1)
        or bool(config.get("mlp_only_layers"))
        or (isinstance(frequency, Sequence) and not isinstance(frequency, str) and 0 in frequency)
    )
    return counts.intermediate_size if has_dense and counts.expert_width else None, shared, expert


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _counts(config: Mapping[str, object]) -> _Counts:
    figures: dict[str, Any] = {}
    for name in _Counts.model_fields:
        for key in (name, *_ALIASES.get(name, ())):
            value = config.get(key)
            if isinstance(value, int) and not isinstance(value, bool):
                try:
                    _Counts.model_validate({name: value})
                except ValidationError:
                    continue
                figures[name] = value
                break
    return _Counts.model_validate(figures)


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
    """The number of layers with a KV cache, and how many of those only cache a window.

    `layer_types` names the kind of each layer. Without it, `sliding_window_pattern` N exempts every Nth layer (gemma3:
    6), `use_sliding_window` tells whether the window applies, and Mistral's applies to all layers.
    """
    layers = counts.num_hidden_layers
    kinds = config.get("layer_types") or config.get("layers_block_type")
    if isinstance(kinds, Sequence) and not isinstance(kinds, str) and len(kinds) == layers:
        words = [str(kind)[:40] for kind in kinds]
        if not all(_KIND.search(word) for word in words):
            return layers, 0  # for unknown kinds, full attention is the upper bound
        windowed = sum("sliding" in word or "chunked" in word for word in words)
        attention = sum(("attention" in word or word == "hybrid") and "linear" not in word for word in words)
        return attention, windowed if counts.sliding_window else 0
    attention_count = _attention_layers(config, layers)
    if attention_count is not None:
        return attention_count, 0
    if layers is None or counts.sliding_window is None or config.get("use_sliding_window") is False:
        return layers, 0
    kind = config.get("model_type")
    pattern = config.get("sliding_window_pattern", 6 if str(kind).startswith("gemma3") else None)
    if isinstance(pattern, int) and not isinstance(pattern, bool) and pattern > 1:
        return layers, layers - layers // pattern
    if kind == "gemma2":
        return layers, layers // 2
    first = whole_number(config.get("max_window_layers"), least=0)
    if first is not None and layers is not None and config.get("use_sliding_window") is True:
        return layers, max(0, layers - first)  # the first ones have full attention
    # Other models may use the window in some layers only; full attention in all of them is the upper bound.
    return layers, layers if kind == "mistral" or config.get("use_sliding_window") is True else 0


def _attention_layers(config: Mapping[str, object], layers: int | None) -> int | None:
    """The number of layers with a growing KV cache in hybrid models; None if the configuration does not specify it."""
    if layers is None:
        return None
    interval = whole_number(config.get("full_attention_interval"), least=1)
    if interval is not None:
        return layers // interval
    period = whole_number(config.get("attn_layer_period"), least=1)
    if period is not None:
        offset = whole_number(config.get("attn_layer_offset"), least=0) or 0
        return sum(number % period == offset % period for number in range(layers))
    full_layers = mapping(config.get("linear_attn_config")).get("full_attn_layers")
    for layer_indices in (
        config.get("attn_layer_indices"),
        full_layers,
        config.get("hybrid_layer_ids"),
        config.get("full_attn_idxs"),
    ):
        if sequence(layer_indices):
            numbers = {
                number for index in sequence(layer_indices) if (number := whole_number(index, least=0)) is not None
            }
            return min(layers, len(numbers)) if numbers else None
    kinds = [whole_number(kind) for kind in sequence(config.get("attn_type_list"))]
    if kinds and None not in kinds:
        return min(layers, sum(1 for kind in kinds if kind == 1))
    blocks = [mapping(mapping(block).get("attention")) for block in sequence(config.get("block_configs"))]
    if len(blocks) == layers:
        return sum(not attention.get("no_op") and not attention.get("replace_with_linear") for attention in blocks)
    pattern = config.get("hybrid_override_pattern")
    return min(layers, pattern.count("*")) if isinstance(pattern, str) and pattern else None


def _vision_heads(config: Mapping[str, object]) -> int | None:
    for key, part in _parts(config):
        if not key.startswith(("vision", "visual")):
            continue
        for name in ("num_attention_heads", "num_heads"):
            value = whole_number(part.get(name), least=1, most=100_000)
            if value is not None:
                return value
    return None
