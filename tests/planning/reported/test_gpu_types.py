"""Which GPU runs which quantisation, with which version."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.planning.reported.build import SGLANG, TYPES, VLLM, Gpus, a100, cards, h100, rtx3090, rtx4090, t4, told, v100
from tests.planning.reported.models import AWQ, BLOCK_FP8, FLOAT_QUANTISED, GPTQ, config_only, packed_int4

P100 = cards(1, "Tesla P100-PCIE-16GB", 16384, "6.0")

QWEN15_32B = {
    "model_type": "qwen2", "num_hidden_layers": 64, "hidden_size": 5120, "num_attention_heads": 40,
    "num_key_value_heads": 8, "intermediate_size": 27392, "vocab_size": 152064, "max_position_embeddings": 32768,
    "torch_dtype": "float16",
}  # fmt: skip


def refused(
    folder: Path,
    quantisation: Mapping[str, Any] | None,
    gpus: Gpus,
    *words: str,
    image: str = VLLM,
    config: Mapping[str, Any] = QWEN15_32B,
) -> bool:
    model = config_only(folder / "m", {**config, "quantization_config": quantisation})
    first = ["python3", "-m", "sglang.launch_server", "--model-path"] if image == SGLANG else ["--model"]
    found = told(folder, [*first, "/models/q", *words], image=image, gpus=gpus, model=model)
    return bool(found.errors & set(TYPES))


@pytest.mark.parametrize(
    ("quantisation", "gpus", "words"),
    [
        # vllm#4202: "Minimum capability: 75. Current capability: 70."
        pytest.param(AWQ, v100(), (), id="awq on a V100"),
        pytest.param(AWQ, v100(), ("--quantization", "awq"), id="awq by a flag"),
        pytest.param(AWQ, P100, ("-q", "awq"), id="awq on a P100"),
        # llm-compressor#1258, vllm#14040: "Min capability: 80. Current capability: 70."
        pytest.param(packed_int4(128), v100(), (), id="compressed int4 on a V100"),
        pytest.param(packed_int4(128), t4(), (), id="compressed int4 on a T4"),
        pytest.param(BLOCK_FP8, t4(), (), id="fp8 on a T4"),
        pytest.param(FLOAT_QUANTISED, v100(), (), id="compressed fp8 on a V100"),
        # vllm#14154: "bitsandbytes ... Minimum capability: 70."
        pytest.param(None, P100, ("--quantization", "bitsandbytes"), id="bitsandbytes on a P100"),
    ],
)
def test_quantisations_that_a_gpu_is_too_old_for(
    tmp_path: Path, quantisation: Mapping[str, Any] | None, gpus: Gpus, words: tuple[str, ...]
) -> None:
    """`get_min_capability` of each method of vLLM 0.11."""
    assert refused(tmp_path, quantisation, gpus, *words)


@pytest.mark.parametrize(
    ("quantisation", "gpus"),
    [
        pytest.param(AWQ, t4(), id="awq on a T4"),
        pytest.param(AWQ, rtx3090(), id="awq on a 3090"),
        pytest.param(GPTQ, v100(), id="gptq on a V100"),
        pytest.param(packed_int4(128), a100(), id="compressed int4 on an A100"),
        pytest.param(BLOCK_FP8, a100(), id="fp8 on an A100, emulated"),
        pytest.param(FLOAT_QUANTISED, rtx3090(), id="compressed fp8 on a 3090, emulated"),
        pytest.param(None, v100(), id="float16 on a V100"),
    ],
)
def test_quantisations_that_a_gpu_runs(tmp_path: Path, quantisation: Mapping[str, Any] | None, gpus: Gpus) -> None:
    assert not refused(tmp_path, quantisation, gpus)


def test_int4_runs_on_turing_with_a_newer_version(tmp_path: Path) -> None:
    """Marlin kernels for capability 7.5 came with vllm PR#29901 (v0.14)."""
    assert not refused(tmp_path, packed_int4(128), t4(), image="vllm/vllm-openai:v0.20.0")


def test_fp8_needed_ada_in_an_old_version(tmp_path: Path) -> None:
    """vllm#4327: "The quantization method fp8 is not supported for the current GPU. Minimum capability: 90. Current
    capability: 86", with v0.4.1; the emulation came with v0.5.1."""
    assert refused(tmp_path, {"quant_method": "fp8"}, rtx3090(), image="vllm/vllm-openai:v0.4.1")


def test_awq_in_sglang(tmp_path: Path) -> None:
    """The same minimum: 75 (sglang/srt/layers/quantization/awq.py)."""
    assert refused(tmp_path, AWQ, v100(), image=SGLANG)


# --- keys and values in fp8 -------------------------------------------------------------------------------------------

LLAMA = {
    "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "max_position_embeddings": 8192,
    "torch_dtype": "bfloat16",
}  # fmt: skip


@pytest.mark.parametrize(
    ("gpus", "words"),
    [
        # vllm#26431: "type fp8e4nv not supported in this architecture"
        pytest.param(rtx3090(), ("--kv-cache-dtype", "fp8"), id="a 3090"),
        pytest.param(rtx3090(), ("--kv_cache_dtype=fp8_e4m3",), id="a 3090, e4m3"),
        pytest.param(t4(), ("--kv-cache-dtype", "fp8", "--dtype", "half"), id="a T4"),
    ],
)
def test_a_cache_in_fp8_on_a_gpu_without_it(tmp_path: Path, gpus: Gpus, words: tuple[str, ...]) -> None:
    """Below 8.9 the kernels that v0.11 takes by itself cannot convert to it."""
    assert refused(tmp_path, None, gpus, *words, config=LLAMA)


def test_a_cache_in_fp8_with_kernels_that_can(tmp_path: Path) -> None:
    """vllm PR#24577: FlashInfer runs it on an A100."""
    model = config_only(tmp_path / "m", LLAMA)
    found = told(tmp_path, ["--model", "/models/q", "--kv-cache-dtype", "fp8"], gpus=a100(), model=model,
                 environment={"VLLM_ATTENTION_BACKEND": "FLASHINFER"})  # fmt: skip
    assert not found.errors


@pytest.mark.parametrize("gpus", [pytest.param(rtx4090(), id="a 4090"), pytest.param(h100(), id="an H100")])
def test_a_cache_in_fp8_on_a_gpu_with_it(tmp_path: Path, gpus: Gpus) -> None:
    assert not refused(tmp_path, None, gpus, "--kv-cache-dtype", "fp8", config=LLAMA)


def test_a_cache_of_the_models_own_type_runs_anywhere(tmp_path: Path) -> None:
    assert not refused(tmp_path, None, rtx3090(), "--kv-cache-dtype", "auto", config=LLAMA)
