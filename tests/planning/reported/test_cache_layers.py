"""Which layers keep keys and values, how many of them, and with which version of the engine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.planning.reported.build import LLAMA_CPP, VLLM, Gpus, Told, h100, rtx3090, rtx4090, told
from tests.planning.reported.models import (
    BLOCK_FP8,
    DEEPSEEK_V2_LITE,
    MISTRAL_7B,
    Q6_K,
    Q8_0,
    config_only,
    decoder,
    gguf,
    layers_gguf,
    sized,
)

QWEN38_27B = {
    "model_type": "qwen3_5", "num_hidden_layers": 64, "hidden_size": 5120, "num_attention_heads": 24,
    "num_key_value_heads": 4, "head_dim": 256, "intermediate_size": 17408, "vocab_size": 248320,
    "max_position_embeddings": 262144, "full_attention_interval": 4, "torch_dtype": "bfloat16",
}  # fmt: skip


def grows_by(
    folder: Path, config: Mapping[str, Any], few: int, many: int, *words: str, gpus: Gpus | None = None
) -> float:
    """GiB that a longer context takes more."""
    model = config_only(folder / "m", config)
    short, long = (
        told(folder, ["--model", "/models/q", "--max-model-len", str(length), *words], gpus=gpus or h100(), model=model)
        for length in (few, many)
    )
    return long.minimum_gib - short.minimum_gib


def test_every_fourth_layer_has_a_cache(tmp_path: Path) -> None:
    """talos-argocd-proxmox#1995: 16 layers × 2 × 4 / 2 heads × 256 × 1 byte × 262144 tokens = 4.0 GiB (not 16.0), and
    29.4 GiB of weights in fp8 on two GPUs: 20.0, of 24."""
    config = {**QWEN38_27B, "quantization_config": BLOCK_FP8}
    model = sized(tmp_path / "m", config, 29.4, "F8_E4M3")
    command = ["--model", "/models/q", "-tp", "2", "--max-model-len", "262144", "--kv-cache-dtype", "fp8"]
    found = told(tmp_path, command, gpus=rtx4090(2), model=model)
    assert found.minimum_gib == pytest.approx(20.0, abs=0.7)
    assert not found.warned & {"too-big", "sum-too-big", "fraction-too-small"}


JAMBA = {
    "model_type": "jamba", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32,
    "num_key_value_heads": 8, "attn_layer_period": 8, "attn_layer_offset": 4, "max_position_embeddings": 262144,
}  # fmt: skip
BAMBA = {
    "model_type": "bamba", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32,
    "num_key_value_heads": 8, "attn_layer_indices": [9, 18, 27], "max_position_embeddings": 262144,
}  # fmt: skip
MINIMAX_01 = {
    "model_type": "minimax_text_01", "num_hidden_layers": 80, "hidden_size": 6144, "num_attention_heads": 64,
    "num_key_value_heads": 8, "head_dim": 128, "attn_type_list": [0, 0, 0, 0, 0, 0, 0, 1] * 10,
    "max_position_embeddings": 262144,
}  # fmt: skip
KIMI_LINEAR = {
    "model_type": "kimi_linear", "num_hidden_layers": 27, "hidden_size": 2304, "num_attention_heads": 32,
    "num_key_value_heads": 32, "head_dim": 72, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128,
    "v_head_dim": 128, "model_max_length": 1048576, "max_position_embeddings": 262144,
    "linear_attn_config": {
        "full_attn_layers": [4, 8, 12, 16, 20, 24, 27], "num_heads": 32, "head_dim": 128,
        "kda_layers": [1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19, 21, 22, 23, 25, 26],
    },
}  # fmt: skip
NEMOTRON_H = {
    "model_type": "nemotron_h", "num_hidden_layers": 52, "hidden_size": 4096, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 262144,
    "hybrid_override_pattern": "M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-",
}  # fmt: skip
GRANITE_H = {
    "model_type": "granitemoehybrid", "num_hidden_layers": 40, "hidden_size": 4096, "num_attention_heads": 32,
    "num_key_value_heads": 8, "layer_types": (["mamba"] * 9 + ["attention"]) * 4, "max_position_embeddings": 262144,
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "layers", "values"),
    [
        pytest.param(QWEN38_27B, 16, 2 * 4 * 256, id="full_attention_interval"),
        pytest.param({"text_config": QWEN38_27B, "vision_config": {"hidden_size": 1152}}, 16, 2 * 4 * 256, id="nested"),
        pytest.param(
            {**QWEN38_27B, "num_hidden_layers": 48, "num_key_value_heads": 2}, 12, 2 * 2 * 256, id="Qwen3-Next"
        ),
        pytest.param(JAMBA, 4, 2 * 8 * 128, id="attn_layer_period"),
        pytest.param(BAMBA, 3, 2 * 8 * 128, id="attn_layer_indices"),
        pytest.param(MINIMAX_01, 10, 2 * 8 * 128, id="attn_type_list"),
        pytest.param(KIMI_LINEAR, 7, 512 + 64, id="linear_attn_config"),
        pytest.param(NEMOTRON_H, 4, 2 * 8 * 128, id="hybrid_override_pattern"),
        pytest.param(GRANITE_H, 4, 2 * 8 * 128, id="layer_types"),
    ],
)
def test_only_layers_of_full_attention_grow_with_the_context(
    tmp_path: Path, config: Mapping[str, Any], layers: int, values: int
) -> None:
    """131072 tokens more; states of a fixed size do not grow."""
    expected = layers * values * 2 * 131072 / 2**30
    assert grows_by(tmp_path, config, 131072, 262144) == pytest.approx(expected, abs=0.02)


def llama(folder: Path, architecture: str, values: Mapping[str, Any], *options: str, gib: float = 4.0) -> Told:
    layers_gguf(folder / "m" / "q.gguf", architecture, values, gib=gib, kind=Q8_0)
    command = ["-m", "/m/q.gguf", "-fa", "on", *options]
    return told(folder, command, image=LLAMA_CPP, gpus=h100(), more={"/m": folder / "m"})


def gguf_grows_by(folder: Path, architecture: str, values: Mapping[str, Any], few: int, many: int, *more: str) -> float:
    short, long = (llama(folder, architecture, values, "-c", str(length), *more) for length in (few, many))
    return long.minimum_gib - short.minimum_gib


@pytest.mark.parametrize(
    ("architecture", "values", "layers", "width"),
    [
        pytest.param(
            "qwen3next",
            {
                "block_count": 48,
                "attention.head_count": 16,
                "attention.head_count_kv": 2,
                "attention.key_length": 256,
                "embedding_length": 2048,
                "full_attention_interval": 4,
            },
            12,
            2 * 2 * 256,
            id="full_attention_interval",
        ),
        pytest.param(
            "qwen35",
            {
                "block_count": 64,
                "attention.head_count": 24,
                "attention.head_count_kv": 4,
                "attention.key_length": 256,
                "embedding_length": 5120,
                "full_attention_interval": 4,
            },
            16,
            2 * 4 * 256,
            id="another architecture",
        ),
        pytest.param(
            "jamba",
            {
                "block_count": 8,
                "attention.head_count": 32,
                "embedding_length": 4096,
                "attention.head_count_kv": [0, 0, 0, 0, 8, 0, 0, 0],
            },
            1,
            2 * 8 * 128,
            id="heads of each layer",
        ),
    ],
)
def test_the_same_of_gguf_files(
    tmp_path: Path, architecture: str, values: Mapping[str, Any], layers: int, width: int
) -> None:
    expected = layers * width * 2 * 131072 / 2**30
    assert gguf_grows_by(tmp_path, architecture, values, 131072, 262144) == pytest.approx(expected, abs=0.02)


# --- windows of GGUF models -------------------------------------------------------------------------------------------

COMMAND_R7B = {
    "block_count": 32, "embedding_length": 4096, "attention.head_count": 32, "attention.head_count_kv": 8,
    "attention.key_length": 128, "feed_forward_length": 14336, "context_length": 8192,
    "attention.sliding_window": 4096,
}  # fmt: skip


def command_r7b(folder: Path, *options: str) -> Told:
    """Q6_K_L: the embedding, which is the output too, in Q8_0 (1062 MiB), the rest in Q6_K (5460 MiB)."""
    tensors = [("token_embd.weight", Q8_0, (4096, 256000))]
    for layer in range(32):
        tensors += [(f"blk.{layer}.attn_{name}.weight", Q6_K, (4096, 4096)) for name in ("q", "output")]
        tensors += [(f"blk.{layer}.attn_{name}.weight", Q6_K, (4096, 1024)) for name in ("k", "v")]
        tensors += [(f"blk.{layer}.ffn_{name}.weight", Q6_K, (4096, 14336)) for name in ("gate", "up", "down")]
    gguf(folder / "m" / "q.gguf", "cohere2", COMMAND_R7B, tensors)
    command = ["-m", "/m/q.gguf", "-ngl", "99", "-c", "31000", "-fa", *options]
    return told(folder, command, image=LLAMA_CPP, gpus=rtx3090(), more={"/m": folder / "m"})


def test_windowed_layers_of_a_gguf_keep_only_their_window(tmp_path: Path) -> None:
    """llama.cpp#13194: 9115 MiB were measured. 8 layers with 31000 tokens × 4 KiB = 969 MiB, 24 with 4096 + 512 (a
    micro-batch) = 432 MiB, beside 6522 of weights."""
    found = command_r7b(tmp_path)
    assert found.minimum_mib == pytest.approx(9115, rel=0.035)


def test_the_whole_cache_where_it_is_asked_for(tmp_path: Path) -> None:
    """llama.cpp#13194: 11459 MiB with `--swa-full`."""
    assert command_r7b(tmp_path, "--swa-full").minimum_mib == pytest.approx(11459, rel=0.035)


@pytest.mark.parametrize(
    ("architecture", "values", "whole", "width"),
    [
        # every 6th layer whole: 10 of 62
        pytest.param(
            "gemma3",
            {
                "block_count": 62,
                "attention.head_count": 32,
                "attention.head_count_kv": 16,
                "attention.key_length": 128,
                "embedding_length": 5376,
                "attention.sliding_window": 1024,
            },
            10,
            2 * 16 * 128,
            id="gemma3",
        ),
        pytest.param(
            "gpt-oss",
            {
                "block_count": 24,
                "attention.head_count": 64,
                "attention.head_count_kv": 8,
                "attention.key_length": 64,
                "embedding_length": 2880,
                "attention.sliding_window": 128,
            },
            12,
            2 * 8 * 64,
            id="gpt-oss",
        ),
        pytest.param(
            "gemma2",
            {
                "block_count": 42,
                "attention.head_count": 16,
                "attention.head_count_kv": 8,
                "attention.key_length": 256,
                "embedding_length": 3584,
                "attention.sliding_window": 4096,
            },
            21,
            2 * 8 * 256,
            id="gemma2",
        ),
        # a window that the file gives to an architecture which has none here: all layers whole
        pytest.param(
            "llama",
            {
                "block_count": 32,
                "attention.head_count": 32,
                "attention.head_count_kv": 8,
                "embedding_length": 4096,
                "attention.sliding_window": 4096,
            },
            32,
            2 * 8 * 128,
            id="llama",
        ),
        pytest.param(
            "qwen3",
            {
                "block_count": 32,
                "attention.head_count": 32,
                "attention.head_count_kv": 8,
                "attention.key_length": 128,
                "embedding_length": 4096,
            },
            32,
            2 * 8 * 128,
            id="none",
        ),
        # a pattern that the file tells
        pytest.param(
            "plamo3",
            {
                "block_count": 32,
                "attention.head_count": 32,
                "attention.head_count_kv": 8,
                "attention.key_length": 128,
                "embedding_length": 4096,
                "attention.sliding_window": 2048,
                "attention.sliding_window_pattern": 8,
            },
            4,
            2 * 8 * 128,
            id="a pattern in the file",
        ),
        pytest.param(
            "gemma4",
            {
                "block_count": 30,
                "attention.head_count": 16,
                "attention.head_count_kv": 8,
                "attention.key_length": 128,
                "embedding_length": 2816,
                "attention.sliding_window": 1024,
                "attention.sliding_window_pattern": [1, 1, 1, 1, 1, 0] * 5,
            },
            5,
            2 * 8 * 128,
            id="a pattern for each layer",
        ),
    ],
)
def test_patterns_of_windows_in_llama_cpp(
    tmp_path: Path, architecture: str, values: Mapping[str, Any], whole: int, width: int
) -> None:
    """`set_swa_pattern` of each architecture (llama.cpp, `load_arch_hparams`): layer i has a window where
    i % n < n - 1. A file may tell the pattern, as a number or for each layer."""
    expected = whole * width * 2 * 65536 / 2**30
    assert gguf_grows_by(tmp_path, architecture, values, 32768, 98304) == pytest.approx(expected, abs=0.02)


def test_the_whole_cache_by_a_variable(tmp_path: Path) -> None:
    layers_gguf(tmp_path / "m" / "q.gguf", "cohere2", COMMAND_R7B, gib=4.0)
    command = ["-m", "/m/q.gguf", "-c", "131072"]
    whole = told(tmp_path, command, image=LLAMA_CPP, gpus=h100(), more={"/m": tmp_path / "m"},
                 environment={"LLAMA_ARG_SWA_FULL": "1"})  # fmt: skip
    # 32 layers × 4 KiB × 131072 tokens
    assert whole.minimum_gib > 4.0 + 16.0


# --- keys and values of their own width -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "bits"),
    [
        pytest.param([], 16 + 16, id="f16"),
        pytest.param(["-ctk", "q8_0"], 8.5 + 16, id="keys only"),
        pytest.param(["-ctv", "q8_0"], 16 + 8.5, id="values only"),
        pytest.param(["--cache-type-k", "q8_0", "--cache-type-v", "q4_0"], 8.5 + 4.5, id="both"),
        pytest.param(["-ctk", "q4_0", "-ctv", "q4_0"], 4.5 + 4.5, id="both alike"),
    ],
)
def test_keys_and_values_have_types_of_their_own(tmp_path: Path, options: list[str], bits: float) -> None:
    """`-ctk` alone does not halve the values (llama.cpp, tools/server/README.md). 32 layers × 8 heads × 128 × 65536."""
    values = {"block_count": 32, "embedding_length": 4096, "attention.head_count": 32, "attention.head_count_kv": 8}
    expected = 32 * 8 * 128 * bits / 8 * 65536 / 2**30
    assert gguf_grows_by(tmp_path, "llama", values, 32768, 98304, *options) == pytest.approx(expected, abs=0.02)


# --- rules that came with a version -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "environment"),
    [
        pytest.param("vllm/vllm-openai:v0.5.1", {}, id="before MLA"),
        pytest.param("vllm/vllm-openai:v0.6.6.post1", {}, id="just before MLA"),
        pytest.param(VLLM, {"VLLM_MLA_DISABLE": "1"}, id="by a variable"),
        pytest.param("registry.example/team/vllm-openai:0.5.4", {}, id="a copy of an old image"),
    ],
)
def test_without_latent_attention_the_cache_is_whole(tmp_path: Path, image: str, environment: dict[str, str]) -> None:
    """vllm#6211: 27 layers × 2 × 16 heads × 128 × 2 bytes × 163840 tokens = 33.75 GiB at least (some versions pad the
    heads to 256), beside 29.3 of weights. MLA came with v0.7.1 (VLLM_MLA_DISABLE turns it off)."""
    model = decoder(tmp_path / "m", DEEPSEEK_V2_LITE)
    found = told(tmp_path, ["--model", "/models/q"], image=image, gpus=h100(), model=model, environment=environment)
    assert found.minimum_mib is None or found.minimum_gib > 29.3 + 33.7
    if found.minimum_mib is None:
        assert found.says("version") or found.codes() & {"option-unread", "model-unread", "not-counted"}


def test_with_latent_attention_the_cache_is_small(tmp_path: Path) -> None:
    """27 layers × 576 × 2 bytes × 163840 tokens = 4.75 GiB."""
    model = decoder(tmp_path / "m", DEEPSEEK_V2_LITE)
    found = told(tmp_path, ["--model", "/models/q"], gpus=h100(), model=model)
    assert found.minimum_gib == pytest.approx(29.3 + 4.75 + 1.2, abs=1)


@pytest.mark.parametrize(
    ("image", "environment"),
    [
        pytest.param("vllm/vllm-openai:v0.3.3", {}, id="vllm#3435"),
        pytest.param("vllm/vllm-openai:v0.6.3", {}, id="V0"),
        pytest.param("vllm/vllm-openai:v0.8.5", {"VLLM_USE_V1": "0"}, id="V0 by a variable"),
    ],
)
def test_the_old_engine_keeps_the_whole_cache_of_a_windowed_model(
    tmp_path: Path, image: str, environment: dict[str, str]
) -> None:
    """vllm#3435: "max seq len (32768) is larger than the maximum number of tokens that can be stored in KV cache
    (16832)", with a window of 4096. 32768 × 128 KiB = 4 GiB."""
    model = decoder(tmp_path / "m", MISTRAL_7B)
    found = told(tmp_path, ["--model", "/models/q"], image=image, gpus=rtx4090(), model=model, environment=environment)
    assert found.minimum_mib is None or found.minimum_gib > 13.5 + 4.0


def test_the_new_engine_keeps_the_window(tmp_path: Path) -> None:
    """With v0.11 4096 tokens and a chunk of them."""
    model = decoder(tmp_path / "m", MISTRAL_7B)
    found = told(tmp_path, ["--model", "/models/q"], gpus=rtx4090(), model=model)
    assert found.minimum_gib < 13.5 + 3.5


@pytest.mark.parametrize("image", ["mine/vllm:prod", "vllm/vllm-openai@sha256:" + "0f" * 32])
def test_of_an_unknown_version_the_small_cache_is_not_promised(tmp_path: Path, image: str) -> None:
    """Whole, unknown, or said that it depends on the version."""
    model = decoder(tmp_path / "m", DEEPSEEK_V2_LITE)
    found = told(tmp_path, ["vllm", "serve", "/models/q"], image=image, gpus=h100(), model=model)
    assert found.minimum_mib is None or found.minimum_gib > 29.3 + 33.7 or found.says("version")
