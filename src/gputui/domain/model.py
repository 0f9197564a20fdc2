"""A model as its files describe it: its architecture, and the size of its weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gputui.domain.rope import Rope


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """The architecture according to `config.json` or a GGUF header; unspecified properties are `None`.

    `kind` is its type (`qwen3_moe`). `kv_lora_rank`, `rope_head_dim` and `value_head_dim` belong to multi-head latent
    attention (MLA). `attention_layers` is the number of layers with a KV cache, `window_layers` the number of those
    limited to `window` tokens. `positions` is the trained context length, `rope` its scaling, `context` the resulting
    length.

    `dense_width`, `shared_width` and `expert_width` are the MLP widths of dense layers, of shared experts, and of the
    other experts. `quantization` is the name of the method (`fp8`, `awq`, `gptq`...), `group_size` the number of
    weights that share a scale, `in_blocks`: in both dimensions; `unquantised` are patterns of layers that are not
    quantised. `sees`: it also accepts images or audio.
    `may_have_experts`: none were found, but its name or kind suggests some, or too little is known about it.
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
    """The properties of a model on disk.

    `problems` describes damage; `unread` is why the files could not be read although they may be valid: missing
    permissions, or an unknown format. In both cases values may be missing.

    `weights_bytes` is the exact size of all tensors. `embedding_bytes` is the part that only the first or the last
    pipeline stage holds, `expert_bytes` that of experts of which each token uses a few, `linear_bytes` that of linear
    layers in 16 bits, which an engine may quantise while loading. `parameters` counts stored elements, which is the
    number of model parameters only without packing. `tensors` are those of a GGUF file, by name and bytes.
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
