"""How many bytes a model takes on each GPU that serves it: weights, keys and values, and overhead."""

from gputui.domain.model import Architecture, ModelFiles
from gputui.domain.rope import longest_context
from gputui.domain.serving import Serving

MIB = 2**20

CONTEXT_MIB = 500
"""A CUDA context with its libraries; 300 to 600 MiB are usual (Ollama reserves 457 MiB for it)."""
COLLECTIVES_MIB = 512
"""NCCL's buffers and the custom all-reduce on a GPU that works with others; 0.3 to 1 GiB are usual."""
SMALLEST_ACTIVATION_MIB = 256

_KV_BITS = {
    "auto": None, "float16": 16.0, "fp16": 16.0, "f16": 16.0, "bfloat16": 16.0, "bf16": 16.0, "half": 16.0,
    "float32": 32.0, "fp32": 32.0, "f32": 32.0, "float": 32.0, "fp8": 8.0, "fp8_e4m3": 8.0, "fp8_e5m2": 8.0,
    "fp8_inc": 8.0, "int8": 8.0, "q8_0": 8.5, "q5_1": 6.0, "q5_0": 5.5, "q4_1": 5.0, "q4_0": 4.5, "iq4_nl": 4.5,
    "fp4": 4.0, "nvfp4": 4.5, "fp4_e2m1": 4.5,
}  # fmt: skip
"""Bits per key or value; ggml's types with their scales (ggml-common.h)."""


def is_cache_type(name: str) -> bool:
    """Whether this is a cache type of known width."""
    return name.lower() in _KV_BITS


def kv_bits(kv_dtype: str | None, dtype: str | None) -> float | None:
    """Bits per cached value; None if the name is unknown. `auto` is the model's own type, 16 bits wide for quantised
    weights too (vLLM, `CacheConfig.cache_dtype`)."""
    name = (kv_dtype or "auto").lower()
    if name not in _KV_BITS:
        return None
    return _KV_BITS[name] or (32.0 if dtype in ("float32", "float") else 16.0)


def layers_with_cache(model: Architecture) -> int | None:
    """The number of layers that cache keys and values."""
    return model.attention_layers if model.attention_layers is not None else model.layers


def values_per_token(model: Architecture, *, tensor: int = 1, latent: bool = True) -> int | None:
    """Key and value elements per token and layer on each GPU; None if the model does not tell enough.

    2 × kv heads × head_dim; with tensor parallelism each GPU has its share of the heads, at least one: fewer heads than
    GPUs are replicated (vLLM, `ModelConfig.get_num_kv_heads`). Latent attention (MLA) keeps one latent vector and the
    rotary part, the same on every GPU (DeepSeek-V2, §2.1); without it (`latent`) it keeps all heads, at least as wide
    as their values.
    """
    if model.kv_lora_rank and latent:
        return model.kv_lora_rank + (model.rope_head_dim or 0)
    if model.kv_lora_rank:
        width = model.value_head_dim or model.head_dim
        return 2 * max(1, model.heads // tensor) * width if model.heads and width else None
    if model.kv_heads and model.head_dim:
        return 2 * max(1, model.kv_heads // tensor) * model.head_dim
    return None


def kv_bytes(
    model: Architecture,
    tokens: int,
    bits: float = 16.0,
    *,
    tensor: int = 1,
    pipeline: int = 1,
    in_window: int | None = None,
    latent: bool = True,
) -> int | None:
    """Bytes of keys and values for `tokens` tokens of one request on each GPU; None if the model does not tell enough.
    Sliding-window layers keep `in_window` tokens, or the window itself if that is not given."""
    layers = layers_with_cache(model)
    values = values_per_token(model, tensor=tensor, latent=latent)
    if layers is None or values is None:
        return None
    stage_layers = -(-layers // pipeline)
    windowed = min(stage_layers, -(-model.window_layers // pipeline))
    window_tokens = in_window if in_window is not None else model.window
    short = min(tokens, window_tokens) if window_tokens else tokens
    return int(((stage_layers - windowed) * tokens + windowed * short) * values * bits / 8)


def weights_bytes(
    files: ModelFiles,
    *,
    tensor: int = 1,
    pipeline: int = 1,
    experts: int | None = None,
    attention: int | None = None,
    loaded: float = 1.0,
) -> int | None:
    """Bytes of weights on each GPU, for the largest pipeline stage: its layers and, at the ends, an embedding.

    Experts are divided over `experts` GPUs and everything else over `attention`, where these differ from `tensor`.
    `loaded` is the fraction left of 16-bit linear layers that the engine quantises while loading.
    """
    if files.weights_bytes is None:
        return None
    expert_bytes = int(files.expert_bytes * loaded)
    total = files.weights_bytes - int(files.linear_bytes * (1 - loaded))
    layers = files.architecture.layers if files.architecture else None
    embedding = min(files.embedding_bytes, total)
    dense_bytes = total - expert_bytes - embedding
    if pipeline > 1:
        # Without the number of layers, assume an even split.
        stage, whole_model = (-(-layers // pipeline), layers) if layers else (1, pipeline)
        expert_bytes, dense_bytes = -(-expert_bytes * stage // whole_model), -(-dense_bytes * stage // whole_model)
        embedding = embedding if layers else -(-embedding // pipeline)
    return -(-(dense_bytes + embedding) // (attention or tensor)) + -(-expert_bytes // (experts or tensor))


def activation_mib(model: Architecture | None, weights_mib: int, *, tokens: int, sequences: int, tensor: int) -> int:
    """MiB for one forward pass of `tokens` tokens, beside weights and cache.

    An estimate: four hidden vectors and the two halves of the MLP per token in 16 bits, and the logits of all sequences
    in 32. For an unknown model, a tenth of the weights (the usual allowance, EleutherAI's "Transformer Math 101":
    inference takes about 1.2 × weights, half of that for activations).
    """
    if model is None or not model.hidden:
        return max(SMALLEST_ACTIVATION_MIB, weights_mib // 10)
    per_token = (4 * model.hidden + 2 * (model.intermediate or 4 * model.hidden) // tensor) * 2
    logits = sequences * (model.vocabulary or 0) * 4
    return max(SMALLEST_ACTIVATION_MIB, (tokens * per_token + logits) // MIB)


def thumb_mib(weights: int) -> int:
    """The rule of thumb for a language model, from bytes of weights: × 1.2 and 2 GiB (GPUStack, "Compatibility
    check")."""
    return int(weights * 1.2) // MIB + 2048


def up(size: int) -> int:
    """Bytes as MiB, rounded up."""
    return -(-size // MIB)


def model_context(model: Architecture | None, serving: Serving, *, keeps_original: bool = False) -> int | None:
    """Tokens of the longest context that the model allows, given options that change its positions; None if unknown.
    `keeps_original`: as in `longest_context`."""
    if model is None:
        return None
    positions = serving.positions or model.positions
    rope = serving.rope or model.rope
    if positions is None:
        return model.context
    return longest_context(positions, rope, keeps_original=keeps_original)
