"""A model as its files describe it: how it is built, and how many bytes its weights are."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What `config.json` or a GGUF header tells of a model; `None` where it does not.

    `kv_lora_rank` and `rope_head_dim` belong to multi-head latent attention (MLA). `window_layers` are the layers that
    look back at most `window` tokens. `quantization` is the method's name (`fp8`, `awq`, `gptq`...), `group_size` how
    many weights share a scale.
    """

    name: str | None = None
    layers: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    hidden: int | None = None
    intermediate: int | None = None
    vocabulary: int | None = None
    context: int | None = None
    experts: int | None = None
    kv_lora_rank: int | None = None
    rope_head_dim: int | None = None
    window: int | None = None
    window_layers: int = 0
    attention_layers: int | None = None
    vision_heads: int | None = None
    dtype: str | None = None
    quantization: str | None = None
    group_size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """What was read of a model on disk.

    `problems` are damages, in words; `unread` is why nothing can be told although nothing need be wrong: files that
    this user may not read, or of a kind that gputui does not know. Where there is either, figures may be missing.

    `weights_bytes` is exact: the bytes of all tensors. `embedding_bytes` is the part of them that only the first or the
    last pipeline stage holds. `parameters` counts stored elements, so it is that of the model only where nothing is
    packed.
    """

    path: str
    architecture: Architecture | None = None
    weights_bytes: int | None = None
    embedding_bytes: int = 0
    parameters: int | None = None
    bytes_by_dtype: Mapping[str, int] = field(default_factory=dict)
    has_tokenizer: bool | None = None
    has_weights: bool = False
    problems: tuple[str, ...] = ()
    unread: str | None = None
