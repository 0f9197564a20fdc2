"""A model as its files describe it: how it is built, and how many bytes its weights are."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gputui.domain.rope import Rope


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What `config.json` or a GGUF header tells of a model; `None` where it does not.

    `kind` is its type (`qwen3_moe`). `kv_lora_rank`, `rope_head_dim` and `value_head_dim` belong to multi-head latent
    attention (MLA). `attention_layers` are those that keep keys and values at all, `window_layers` those of them that
    look back at most `window` tokens. `positions` is the length that it was trained for, `rope` how that is stretched,
    `context` what comes of both.

    `dense_width`, `shared_width` and `expert_width` are the widths of MLPs that all tokens go through, of the experts
    that all share, and of the others. `quantization` is the method's name (`fp8`, `awq`, `gptq`...), `group_size` how
    many weights share a scale, `in_blocks`: in both directions; `unquantised` are patterns of layers that are left as
    they are. `sees` is whether it takes pictures or sound too.
    `may_have_experts`: none were found, but its name or kind speaks of some, or too little of it is known.
    """

    name: str | None = None
    kind: str | None = None
    layers: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    hidden: int | None = None
    intermediate: int | None = None
    vocabulary: int | None = None
    context: int | None = None
    positions: int | None = None
    rope: Rope | None = None
    experts: int | None = None
    may_have_experts: bool = False
    dense_width: int | None = None
    shared_width: int | None = None
    expert_width: int | None = None
    kv_lora_rank: int | None = None
    rope_head_dim: int | None = None
    value_head_dim: int | None = None
    window: int | None = None
    window_layers: int = 0
    attention_layers: int | None = None
    sees: bool = False
    vision_heads: int | None = None
    dtype: str | None = None
    quantization: str | None = None
    group_size: int | None = None
    in_blocks: bool = False
    unquantised: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """What was read of a model on disk.

    `problems` are damages, in words; `unread` is why nothing can be told although nothing need be wrong: files that
    this user may not read, or of a kind that gputui does not know. Where there is either, figures may be missing.

    `weights_bytes` is exact: the bytes of all tensors. `embedding_bytes` is the part of them that only the first or the
    last pipeline stage holds, `expert_bytes` that of experts of which each token uses a few, `linear_bytes` that of
    linear layers in 16 bits, which an engine may quantise while it loads them. `parameters` counts stored elements, so
    it is that of the model only where nothing is packed. `tensors` are those of a GGUF file, by name and bytes.
    """

    path: str
    architecture: Architecture | None = None
    weights_bytes: int | None = None
    embedding_bytes: int = 0
    expert_bytes: int = 0
    linear_bytes: int = 0
    parameters: int | None = None
    bytes_by_dtype: Mapping[str, int] = field(default_factory=dict)
    has_tokenizer: bool | None = None
    has_weights: bool = False
    tensors: tuple[tuple[str, int], ...] = ()
    problems: tuple[str, ...] = ()
    unread: str | None = None
