"""Figures and findings that were right when they were reported, and have to stay so."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.planning.reported.build import (
    LLAMA_CPP,
    SGLANG,
    TGI,
    TOO_BIG,
    cards,
    h100,
    rtx3090,
    rtx4090,
    told,
)
from tests.planning.reported.models import (
    FALCON_7B,
    GLM45V,
    Q3_K,
    QWEN3_235B_FP8,
    QWEN3_CODER_480B_FP8,
    config_only,
    decoder,
    layers_gguf,
    sized,
)

SCOUT = {
    "architectures": ["Llama4ForConditionalGeneration"], "model_type": "llama4",
    "text_config": {
        "num_hidden_layers": 48, "hidden_size": 5120, "num_attention_heads": 40, "num_key_value_heads": 8,
        "head_dim": 128, "intermediate_size": 8192, "intermediate_size_mlp": 16384, "num_local_experts": 16,
        "vocab_size": 202048, "max_position_embeddings": 10485760, "attention_chunk_size": 8192,
    },
    "vision_config": {"num_attention_heads": 16, "hidden_size": 1408},
}  # fmt: skip


def cache_gib(folder: Path, config: Mapping[str, Any], tokens: int, tensor: int) -> float:
    """The cache of that many tokens on each GPU: the difference to 1024 of them."""
    model = config_only(folder / "m", config)
    some, few = (
        told(folder, ["--model", "/models/q", "-tp", str(tensor), "--max-model-len", str(length)],
             gpus=h100(tensor), model=model).minimum_gib
        for length in (tokens, 1024)
    )  # fmt: skip
    return (some - few) * tokens / (tokens - 1024)


def test_the_cache_of_llama_4_scout(tmp_path: Path) -> None:
    """vllm#19407: 48 layers × 2 × 1 head × 128 × 2 bytes × 10485760 tokens = 240 GiB on each of 8 GPUs. Its layers with
    chunks keep all of it by default."""
    assert cache_gib(tmp_path, SCOUT, 10485760, 8) == pytest.approx(240.0, abs=0.1)


def test_the_cache_of_qwen3_coder_480b(tmp_path: Path) -> None:
    """recipes#12: 62 layers × 2 × 8 × 128 × 2 bytes × 262144 tokens = 62 GiB."""
    assert cache_gib(tmp_path, QWEN3_CODER_480B_FP8, 262144, 1) == pytest.approx(62.0, abs=0.1)


def test_the_vision_heads_of_glm_45v(tmp_path: Path) -> None:
    """vllm#24004: 12 heads on 8 GPUs."""
    found = told(
        tmp_path, ["--model", "/models/q", "-tp", "8"], gpus=h100(8), model=config_only(tmp_path / "m", GLM45V)
    )
    assert "vision-heads" in found.errors


def test_falcon_7b_on_two_shards(tmp_path: Path) -> None:
    """TGI#1354: 71 heads cannot be divided by 2."""
    model = config_only(tmp_path / "m", FALCON_7B)
    for command, environment in (
        (["--model-id", "/models/q", "--num-shard", "2"], {}),
        (None, {"NUM_SHARD": "2", "MODEL_ID": "/models/q"}),
    ):
        found = told(tmp_path, command, image=TGI, gpus=h100(2), model=model, environment=environment)
        assert "heads" in found.errors


def test_qwen3_next_in_16_bits_on_one_card(tmp_path: Path) -> None:
    """sglang#10736: 80 billion weights in 16 bits are 149 GiB, of 96 GB."""
    config = {
        "model_type": "qwen3_next", "num_hidden_layers": 48, "hidden_size": 2048, "num_attention_heads": 16,
        "num_key_value_heads": 2, "head_dim": 256, "moe_intermediate_size": 512, "num_experts": 512,
        "full_attention_interval": 4, "vocab_size": 151936, "max_position_embeddings": 262144,
    }  # fmt: skip
    model = sized(tmp_path / "m", config, 149)
    command = ["python3", "-m", "sglang.launch_server", "--model-path", "/models/q"]
    card = cards(1, "NVIDIA RTX PRO 6000 Blackwell", 97887, "12.0")
    found = told(tmp_path, command, image=SGLANG, gpus=card, model=model)
    assert "too-big" in found.warned
    assert found.unplaced == ("llm",)


def test_qwen15_72b_in_3_bits_on_two_cards(tmp_path: Path) -> None:
    """xorbitsai/inference#1202: 36 GiB, and 80 layers × 2 × 64 heads × 128 × 2 bytes × 8192 tokens = 20 GiB."""
    values = {"block_count": 80, "embedding_length": 8192, "attention.head_count": 64, "attention.head_count_kv": 64,
              "feed_forward_length": 24576, "context_length": 32768}  # fmt: skip
    layers_gguf(tmp_path / "m" / "q.gguf", "qwen2", values, gib=35.9, kind=Q3_K)
    command = ["-m", "/m/q.gguf", "-c", "8192", "-ngl", "99"]
    found = told(tmp_path, command, image=LLAMA_CPP, gpus=rtx3090(2), more={"/m": tmp_path / "m"})
    assert found.warned & set(TOO_BIG)
    assert found.unplaced == ("llm",)


def test_what_yi_34b_takes_of_four_cards(tmp_path: Path) -> None:
    """vllm#7553: 0.9 of the 24084 MiB of a 4090 that can be used."""
    config = {
        "model_type": "llama", "num_hidden_layers": 60, "hidden_size": 7168, "num_attention_heads": 56,
        "num_key_value_heads": 8, "intermediate_size": 20480, "vocab_size": 64000, "max_position_embeddings": 4096,
    }  # fmt: skip
    model = decoder(tmp_path / "m", config)
    command = ["--model", "/models/q", "--tensor-parallel-size", "4", "--gpu-memory-utilization", "0.9"]
    found = told(tmp_path, command, image="vllm/vllm-openai:v0.5.4", gpus=rtx4090(4), model=model, reserved_mib=480)
    assert found.claim_mib == 21676
    assert found.minimum_gib < 21676 / 1024


def test_qwen3_235b_in_tensorrt_llm(tmp_path: Path) -> None:
    """TensorRT-LLM#5872: 28.85 GiB were reported for the model on each of 8 GPUs; 31.0 with one request."""
    model = decoder(tmp_path / "m", QWEN3_235B_FP8, linear="F8_E4M3")
    command = ["trtllm-serve", "/models/q", "--tp_size", "8", "--ep_size", "8"]
    found = told(tmp_path, command, image="nvcr.io/nvidia/tensorrt-llm/release:1.0.0", gpus=h100(8), model=model)
    assert found.minimum_gib == pytest.approx(31.0, abs=0.8)
    assert found.minimum_gib > 28.85
    assert found.errors == set()
