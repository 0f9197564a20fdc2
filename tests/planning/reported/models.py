"""Model folders and GGUF files of headers only, by what their configurations say."""

import json
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from tests.models.files import write_gguf, write_model

Tensors = list[tuple[str, str, tuple[int, ...]]]
Config = Mapping[str, Any]

F32, F16, Q4_0, Q8_0, Q3_K, Q4_K, Q6_K = 0, 1, 2, 8, 11, 12, 14
"""Types of ggml."""

BLOCK_FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128], "activation_scheme": "dynamic"}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True}


def compressed(weights: Config, format: str) -> dict[str, Any]:
    """A configuration of compressed-tensors with one group."""
    return {
        "quant_method": "compressed-tensors",
        "format": format,
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": dict(weights), "input_activations": None}},
    }


FLOAT_QUANTISED = compressed(
    {"num_bits": 8, "type": "float", "strategy": "channel", "group_size": None}, "float-quantized"
)


def packed_int4(group_size: int) -> dict[str, Any]:
    return compressed({"num_bits": 4, "type": "int", "strategy": "group", "group_size": group_size}, "pack-quantized")


def config_only(folder: Path, config: Config) -> Path:
    """A model that is whole but has one tensor of no size to speak of: for rules that look at shapes."""
    return write_model(folder, config, [("model.norm.weight", "BF16", (8,)), ("lm_head.weight", "BF16", (8,))])


def sized(folder: Path, config: Config, gib: float, dtype: str = "BF16") -> Path:
    """A model whose weights are this large."""
    width = {"BF16": 2, "F16": 2, "F8_E4M3": 1, "I32": 4}[dtype]
    count = int(gib * 2**30) // width
    layers = int(config.get("num_hidden_layers", 1))
    tensors: Tensors = [(f"model.layers.{at}.mlp.up_proj.weight", dtype, (count // layers,)) for at in range(layers)]
    return write_model(folder, config, tensors)


def decoder(
    folder: Path, config: Config, *, linear: str = "BF16", tied: bool = False, shapes: Config | None = None
) -> Path:
    """The weights that the figures of a configuration mean, with linear layers of this type and the rest in 16 bits.

    `shapes` are those figures where they are not at the top of the configuration.
    """
    told: dict[str, Any] = dict(shapes or config)
    hidden, layers, vocabulary = told["hidden_size"], told["num_hidden_layers"], told["vocab_size"]
    heads, kv = told["num_attention_heads"], told.get("num_key_value_heads", told["num_attention_heads"])
    width = told.get("head_dim") or hidden // heads
    experts = told.get("num_experts") or told.get("n_routed_experts") or told.get("num_local_experts") or 0
    expert_width: int = told.get("moe_intermediate_size") or told["intermediate_size"]
    dense_first = told.get("first_k_dense_replace", 0)
    tensors: Tensors = [("model.embed_tokens.weight", "BF16", (vocabulary, hidden))]

    def add(name: str, rows: int, columns: int) -> None:
        tensors.append((f"{name}.weight", linear, (rows, columns)))

    for number in range(layers):
        at = f"model.layers.{number}."
        latent = told.get("kv_lora_rank")
        if latent:
            nope, rope, value = told["qk_nope_head_dim"], told["qk_rope_head_dim"], told["v_head_dim"]
            add(f"{at}self_attn.q_proj", heads * (nope + rope), hidden)
            add(f"{at}self_attn.kv_a_proj_with_mqa", latent + rope, hidden)
            add(f"{at}self_attn.kv_b_proj", heads * (nope + value), latent)
            add(f"{at}self_attn.o_proj", hidden, heads * value)
        else:
            add(f"{at}self_attn.q_proj", heads * width, hidden)
            add(f"{at}self_attn.k_proj", kv * width, hidden)
            add(f"{at}self_attn.v_proj", kv * width, hidden)
            add(f"{at}self_attn.o_proj", hidden, heads * width)
        if experts and number >= dense_first:
            for one in range(experts):
                add(f"{at}mlp.experts.{one}.gate_proj", expert_width, hidden)
                add(f"{at}mlp.experts.{one}.up_proj", expert_width, hidden)
                add(f"{at}mlp.experts.{one}.down_proj", hidden, expert_width)
            shared = expert_width * told.get("n_shared_experts", 0)
            mlp = f"{at}mlp.shared_experts."
        else:
            shared, mlp = told["intermediate_size"], f"{at}mlp."
        if shared:
            add(f"{mlp}gate_proj", shared, hidden)
            add(f"{mlp}up_proj", shared, hidden)
            add(f"{mlp}down_proj", hidden, shared)
    if not tied:
        tensors.append(("lm_head.weight", "BF16", (vocabulary, hidden)))
    return write_model(folder, config, tensors)


def weights_gib(folder: Path) -> float:
    """What the tensors of a folder take, from the lengths of its files; their headers are little."""
    return sum(one.stat().st_size for one in folder.iterdir() if one.suffix == ".safetensors") / 2**30


def gguf(path: Path, architecture: str, values: Config, tensors: Sequence[tuple[str, int, tuple[int, ...]]]) -> Path:
    """A GGUF file; keys without a prefix are the architecture's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    named = {
        key if key.startswith(("general.", "tokenizer.")) else f"{architecture}.{key}": value
        for key, value in values.items()
    }
    write_gguf(path, {"general.architecture": architecture, **named, "tokenizer.ggml.tokens": ["a", "b"]}, tensors)
    return path


def layers_gguf(
    path: Path,
    architecture: str,
    values: Config,
    *,
    gib: float,
    experts: float = 0.0,
    kind: int = Q8_0,
    shares: Sequence[float] = (),
) -> Path:
    """A GGUF whose blocks take `gib`, the part `experts` of it in `*_exps` tensors; `shares` are the blocks' parts
    where they are not equal."""
    layers = int(values["block_count"])
    parts = [share / sum(shares) for share in shares] if shares else [1 / layers] * layers
    elements = gib * 2**30 * {Q8_0: 32 / 34, F16: 0.5, Q4_K: 256 / 144, Q3_K: 256 / 110, Q6_K: 256 / 210}[kind]
    tensors: list[tuple[str, int, tuple[int, ...]]] = []
    for at, part in enumerate(parts):
        count = int(elements * part)
        inside = int(count * experts)
        rest = max(256, (count - inside) // 256 * 256)
        tensors.append((f"blk.{at}.attn_q.weight", kind, (rest,)))
        names = ("gate", "up", "down") if inside else ()
        tensors += [(f"blk.{at}.ffn_{name}_exps.weight", kind, (inside // 3 // 256 * 256,)) for name in names]
    return gguf(path, architecture, values, tensors)


def elements(tensors: Sequence[tuple[str, int, tuple[int, ...]]]) -> int:
    return sum(prod(shape) for _, _, shape in tensors)


def with_config(folder: Path, config: Config) -> Path:
    """The folder with another configuration."""
    (folder / "config.json").write_text(json.dumps(config))
    return folder


# --- configurations of published models ------------------------------------------------------------------------------

QWEN3_235B_FP8 = {
    "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "num_hidden_layers": 94, "hidden_size": 4096,
    "num_attention_heads": 64, "num_key_value_heads": 4, "head_dim": 128, "intermediate_size": 12288,
    "moe_intermediate_size": 1536, "num_experts": 128, "num_experts_per_tok": 8, "vocab_size": 151936,
    "max_position_embeddings": 40960, "torch_dtype": "bfloat16", "quantization_config": BLOCK_FP8,
}  # fmt: skip
QWEN3_CODER_480B_FP8 = {
    "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "num_hidden_layers": 62, "hidden_size": 6144,
    "num_attention_heads": 96, "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 8192,
    "moe_intermediate_size": 2560, "num_experts": 160, "num_experts_per_tok": 8, "vocab_size": 151936,
    "max_position_embeddings": 262144, "torch_dtype": "bfloat16", "quantization_config": BLOCK_FP8,
}  # fmt: skip
QWEN3_30B = {
    "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "num_hidden_layers": 48, "hidden_size": 2048,
    "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128, "intermediate_size": 6144,
    "moe_intermediate_size": 768, "num_experts": 128, "num_experts_per_tok": 8, "vocab_size": 151936,
    "max_position_embeddings": 40960, "torch_dtype": "bfloat16",
}  # fmt: skip
QWEN3_8B = {
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "num_hidden_layers": 36, "hidden_size": 4096,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 12288,
    "vocab_size": 151936, "max_position_embeddings": 40960, "torch_dtype": "bfloat16",
}  # fmt: skip
QWEN25_7B = {
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "num_hidden_layers": 28, "hidden_size": 3584,
    "num_attention_heads": 28, "num_key_value_heads": 4, "intermediate_size": 18944, "vocab_size": 152064,
    "max_position_embeddings": 32768, "torch_dtype": "bfloat16", "use_sliding_window": False,
}  # fmt: skip
QWEN25_32B = {
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "num_hidden_layers": 64, "hidden_size": 5120,
    "num_attention_heads": 40, "num_key_value_heads": 8, "intermediate_size": 27648, "vocab_size": 152064,
    "max_position_embeddings": 32768, "torch_dtype": "bfloat16", "use_sliding_window": False,
}  # fmt: skip
LLAMA3_8B = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096,
    "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256,
    "max_position_embeddings": 131072, "torch_dtype": "bfloat16",
    "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192},
}  # fmt: skip
LLAMA32_1B = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 16, "hidden_size": 2048,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "intermediate_size": 8192,
    "vocab_size": 128256, "max_position_embeddings": 131072, "torch_dtype": "bfloat16", "tie_word_embeddings": True,
}  # fmt: skip
GLM45_AIR_FP8 = {
    "architectures": ["Glm4MoeForCausalLM"], "model_type": "glm4_moe", "num_hidden_layers": 46, "hidden_size": 4096,
    "num_attention_heads": 96, "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 10944,
    "moe_intermediate_size": 1408, "n_routed_experts": 128, "n_shared_experts": 1, "first_k_dense_replace": 1,
    "vocab_size": 151552, "max_position_embeddings": 131072, "torch_dtype": "bfloat16",
    "quantization_config": FLOAT_QUANTISED,
}  # fmt: skip
GLM45V = {
    "architectures": ["Glm4vMoeForConditionalGeneration"], "model_type": "glm4v_moe",
    "text_config": {**{key: value for key, value in GLM45_AIR_FP8.items() if key != "quantization_config"}},
    "vision_config": {"num_heads": 12, "hidden_size": 1536, "depth": 24, "intermediate_size": 10944},
}  # fmt: skip
DEEPSEEK_V2_LITE = {
    "architectures": ["DeepseekV2ForCausalLM"], "model_type": "deepseek_v2", "num_hidden_layers": 27,
    "hidden_size": 2048, "num_attention_heads": 16, "num_key_value_heads": 16, "kv_lora_rank": 512,
    "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128, "intermediate_size": 10944,
    "moe_intermediate_size": 1408, "n_routed_experts": 64, "n_shared_experts": 2, "first_k_dense_replace": 1,
    "vocab_size": 102400, "max_position_embeddings": 163840, "torch_dtype": "bfloat16",
    "rope_scaling": {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096},
}  # fmt: skip
MISTRAL_7B = {
    "architectures": ["MistralForCausalLM"], "model_type": "mistral", "num_hidden_layers": 32, "hidden_size": 4096,
    "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 32000,
    "max_position_embeddings": 32768, "sliding_window": 4096, "torch_dtype": "bfloat16",
}  # fmt: skip
FALCON_7B = {
    "architectures": ["FalconForCausalLM"], "model_type": "falcon", "num_hidden_layers": 32, "hidden_size": 4544,
    "num_attention_heads": 71, "num_kv_heads": 71, "multi_query": True, "new_decoder_architecture": False,
    "parallel_attn": True, "vocab_size": 65024, "torch_dtype": "bfloat16",
}  # fmt: skip
