"""Widths that tensor parallelism cuts, against the blocks, groups and tiles of quantised weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.planning.reported.build import SGLANG, WIDTHS, Gpus, a100, h100, rtx3090, told
from tests.planning.reported.models import (
    AWQ,
    BLOCK_FP8,
    FLOAT_QUANTISED,
    GLM45_AIR_FP8,
    GPTQ,
    QWEN3_30B,
    QWEN3_235B_FP8,
    QWEN3_CODER_480B_FP8,
    QWEN25_7B,
    compressed,
    config_only,
    packed_int4,
)


def refused(folder: Path, config: Mapping[str, Any], *words: str, gpus: Gpus, image: str | None = None) -> bool:
    """Whether the widths of this model stop it."""
    model = config_only(folder / "m", config)
    if image is None:
        found = told(folder, ["--model", "/models/q", *words], gpus=gpus, model=model)
    else:
        command = ["python3", "-m", "sglang.launch_server", "--model-path", "/models/q", *words]
        found = told(folder, command, gpus=gpus, model=model, image=image)
    assert all(one.severity in ("error", "info") for one in found.of(WIDTHS)), "the engine refuses it, or does not"
    return bool(found.errors & set(WIDTHS))


def with_quantisation(config: Mapping[str, Any], quantisation: Mapping[str, Any], **other: Any) -> dict[str, Any]:
    return {**config, **other, "quantization_config": dict(quantisation)}


# --- experts ----------------------------------------------------------------------------------------------------------


def test_experts_that_are_cut_within_a_block_are_refused(tmp_path: Path) -> None:
    """vllm#17569: 1536 / 8 = 192 = 1.5 × 128 ("The output_size of gate's and up's weight = 192 is not divisible by
    weight quantization block_n = 128")."""
    assert refused(tmp_path, QWEN3_235B_FP8, "-tp", "8", gpus=h100(8))


@pytest.mark.parametrize("size", [1, 2, 4])
def test_experts_that_are_cut_between_blocks_are_fine(tmp_path: Path, size: int) -> None:
    """1536, 768 and 384 are 12, 6 and 3 × 128."""
    assert not refused(tmp_path, QWEN3_235B_FP8, "-tp", str(size), gpus=h100(size))


@pytest.mark.parametrize("flag", ["--enable-expert-parallel", "--enable_expert_parallel", "-ep"])
def test_whole_experts_are_not_cut(tmp_path: Path, flag: str) -> None:
    """With expert parallelism each GPU has whole experts, and the rest fits: 64 heads × 128 / 8 = 1024."""
    assert not refused(tmp_path, QWEN3_235B_FP8, "-tp", "8", flag, gpus=h100(8))


MINIMAX_M2 = {
    "model_type": "minimax_m2", "num_hidden_layers": 62, "hidden_size": 3072, "num_attention_heads": 48,
    "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 1536, "num_local_experts": 256,
    "vocab_size": 200064, "max_position_embeddings": 196608, "quantization_config": BLOCK_FP8,
}  # fmt: skip
DEEPSEEK_V3 = {
    "model_type": "deepseek_v3", "num_hidden_layers": 61, "hidden_size": 7168, "num_attention_heads": 128,
    "num_key_value_heads": 128, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128,
    "v_head_dim": 128, "q_lora_rank": 1536, "intermediate_size": 18432, "moe_intermediate_size": 2048,
    "n_routed_experts": 256, "n_shared_experts": 1, "first_k_dense_replace": 3, "vocab_size": 129280,
    "max_position_embeddings": 163840, "quantization_config": BLOCK_FP8,
}  # fmt: skip
QWEN3_NEXT_FP8 = {
    "model_type": "qwen3_next", "num_hidden_layers": 48, "hidden_size": 2048, "num_attention_heads": 16,
    "num_key_value_heads": 2, "head_dim": 256, "intermediate_size": 5120, "moe_intermediate_size": 512,
    "shared_expert_intermediate_size": 512, "num_experts": 512, "vocab_size": 151936, "full_attention_interval": 4,
    "max_position_embeddings": 262144, "quantization_config": BLOCK_FP8,
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "size"),
    [
        pytest.param(QWEN3_CODER_480B_FP8, 8, id="2560 / 8 = 320"),
        pytest.param(with_quantisation(QWEN3_30B, BLOCK_FP8), 4, id="768 / 4 = 192"),
        pytest.param(MINIMAX_M2, 8, id="experts in intermediate_size: 1536 / 8 = 192"),
        pytest.param(QWEN3_NEXT_FP8, 8, id="512 / 8 = 64"),
        pytest.param(
            {"text_config": QWEN3_235B_FP8 | {"quantization_config": None}, "quantization_config": BLOCK_FP8},
            8,
            id="the text part one level deeper",
        ),
    ],
)
def test_expert_widths_of_other_models(tmp_path: Path, config: dict[str, object], size: int) -> None:
    """Blocks of 128 (ATOM#1488, ATOM#1944; Qwen3-Coder's model card asks for expert parallelism at 8 GPUs)."""
    assert refused(tmp_path, config, "-tp", str(size), gpus=h100(size))


@pytest.mark.parametrize(
    ("config", "size"),
    [
        pytest.param(QWEN3_CODER_480B_FP8, 4, id="2560 / 4 = 5 × 128"),
        pytest.param(MINIMAX_M2, 4, id="1536 / 4 = 3 × 128"),
        pytest.param(QWEN3_NEXT_FP8, 4, id="512 / 4 = 128"),
        pytest.param(DEEPSEEK_V3, 16, id="2048 / 16 = 128, 18432 / 16 = 9 × 128"),
        pytest.param({**QWEN3_235B_FP8, "quantization_config": FLOAT_QUANTISED}, 8, id="a scale for each channel"),
        pytest.param({**QWEN3_235B_FP8, "quantization_config": None}, 8, id="not quantised"),
    ],
)
def test_expert_widths_that_divide(tmp_path: Path, config: dict[str, object], size: int) -> None:
    assert not refused(tmp_path, config, "-tp", str(size), gpus=h100(size))


def test_the_shared_expert_is_cut_even_where_the_others_are_not(tmp_path: Path) -> None:
    """512 / 8 = 64 for the shared expert, which every GPU has a part of ("Weight input_size_per_partition = 64 is not
    divisible by weight quantization block_k = 128", as in vllm#40955 with 3072 / 16 = 192)."""
    assert refused(tmp_path, QWEN3_NEXT_FP8, "-tp", "8", "--enable-expert-parallel", gpus=h100(8))
    assert not refused(tmp_path, QWEN3_NEXT_FP8, "-dp", "8", "--enable-expert-parallel", gpus=h100(8))


def test_dense_layers_of_a_mixture_count_too(tmp_path: Path) -> None:
    """sglang#3345: 18432 / 32 = 576 = 4.5 × 128, also where the experts are whole."""
    assert refused(tmp_path, DEEPSEEK_V3, "--tp", "32", "--ep-size", "32", gpus=h100(32), image=SGLANG)


def test_expert_parallelism_of_sglang_leaves_experts_whole(tmp_path: Path) -> None:
    """sglang's FusedMoE cuts an expert in tp / ep parts: 1536 / (8 / 8) and 1536 / (8 / 2) = 384."""
    assert refused(tmp_path, QWEN3_235B_FP8, "--tp", "8", gpus=h100(8), image=SGLANG)
    assert not refused(tmp_path, QWEN3_235B_FP8, "--tp", "8", "--ep-size", "8", gpus=h100(8), image=SGLANG)
    assert not refused(tmp_path, QWEN3_235B_FP8, "--tp", "8", "--ep-size", "2", gpus=h100(8), image=SGLANG)


# --- dense layers -----------------------------------------------------------------------------------------------------

QWEN2_72B = {
    "model_type": "qwen2", "num_hidden_layers": 80, "hidden_size": 8192, "num_attention_heads": 64,
    "num_key_value_heads": 8, "intermediate_size": 29568, "vocab_size": 152064, "max_position_embeddings": 32768,
}  # fmt: skip


@pytest.mark.parametrize(
    ("quantisation", "size"),
    [
        pytest.param(AWQ, 2, id="awq"),
        pytest.param(GPTQ, 4, id="gptq"),
        pytest.param(packed_int4(128), 2, id="compressed-tensors"),
        pytest.param(BLOCK_FP8, 2, id="fp8"),
    ],
)
def test_dense_layers_cut_within_a_group_are_refused(
    tmp_path: Path, quantisation: dict[str, object], size: int
) -> None:
    """vllm#21695: 29568 / 128 = 231, so that only 1, 3, 7, 11... divide it ("The input size is not aligned with the
    quantized weight shape")."""
    config = with_quantisation(QWEN2_72B, quantisation)
    assert refused(tmp_path, config, "--tensor-parallel-size", str(size), gpus=h100(size))
    assert not refused(tmp_path, config, "--tensor-parallel-size", "1", gpus=h100())


@pytest.mark.parametrize(
    ("quantisation", "width", "size"),
    [
        pytest.param(AWQ, 29696, 8, id="padded to 232 × 128"),
        pytest.param(packed_int4(32), 29696, 8, id="smaller groups: 3712 = 116 × 32"),
        pytest.param({**GPTQ, "group_size": 64}, 29568, 2, id="groups of 64: 14784 = 231 × 64"),
        pytest.param({**GPTQ, "group_size": -1}, 29568, 2, id="one group for each channel"),
    ],
)
def test_dense_layers_cut_between_groups_are_fine(
    tmp_path: Path, quantisation: dict[str, object], width: int, size: int
) -> None:
    """Widths as published for Qwen2-72B-Instruct-AWQ, and smaller groups. 14784 is no multiple of 128, which Marlin
    kernels want, but those of ExLlama run it."""
    config = with_quantisation(QWEN2_72B, quantisation, intermediate_size=width)
    assert not refused(tmp_path, config, "-tp", str(size), gpus=h100(size))


def test_a_width_in_the_text_part_counts(tmp_path: Path) -> None:
    """Qwen3-VL#831: Qwen2.5-VL-72B-Instruct-AWQ with 29568 and 2 or 4 GPUs."""
    config = {"model_type": "qwen2_5_vl", "text_config": QWEN2_72B, "quantization_config": AWQ}
    assert refused(tmp_path, config, "-tp", "4", gpus=h100(4))


def test_the_stages_of_a_pipeline_are_not_cut(tmp_path: Path) -> None:
    config = with_quantisation(QWEN2_72B, AWQ)
    assert not refused(tmp_path, config, "--pipeline-parallel-size", "4", gpus=h100(4))


def test_a_size_in_a_script_counts(tmp_path: Path) -> None:
    model = config_only(tmp_path / "m", QWEN3_235B_FP8)
    script = "export N=8; exec vllm serve /models/q --tensor-parallel-size=8 --trust-remote-code"
    found = told(tmp_path, None, entrypoint=["/bin/bash", "-c", script], gpus=h100(8), model=model)
    assert found.errors & set(WIDTHS)


# --- tiles of the Marlin kernels --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "gpus"),
    [
        # 2 × 10944 / 8 = 2736 = 42.75 × 64
        pytest.param(8, rtx3090(8), id="GLM-4.5#94"),
        # 2 × 10944 / 4 = 5472 = 85.5 × 64
        pytest.param(4, a100(4), id="GLM-V#178"),
    ],
)
def test_fp8_on_older_gpus_is_refused_where_its_tiles_do_not_divide(tmp_path: Path, size: int, gpus: Gpus) -> None:
    """ "RuntimeError: size_n = 2736 is not divisible by tile_n_size = 64": fp8 below 8.9 runs on Marlin kernels."""
    assert refused(tmp_path, GLM45_AIR_FP8, "-tp", str(size), gpus=gpus)


def test_the_same_in_sglang(tmp_path: Path) -> None:
    """GLM-4.5#23: sglang, `--tp 4` ("size_n = 5472 is not divisible by tile_n_size = 64")."""
    assert refused(tmp_path, GLM45_AIR_FP8, "--tp", "4", gpus=a100(4), image=SGLANG)


@pytest.mark.parametrize(
    ("config", "size", "gpus"),
    [
        pytest.param(GLM45_AIR_FP8, 8, h100(8), id="fp8 is native from 8.9"),
        pytest.param({**GLM45_AIR_FP8, "quantization_config": None}, 8, a100(8), id="not quantised"),
        # 2 × 18944 / 4 = 9472 = 148 × 64, 18944 / 4 = 37 × 128
        pytest.param(with_quantisation(QWEN25_7B, FLOAT_QUANTISED), 4, a100(4), id="tiles that divide"),
    ],
)
def test_tiles_that_are_no_matter(tmp_path: Path, config: dict[str, object], size: int, gpus: Gpus) -> None:
    assert not refused(tmp_path, config, "-tp", str(size), gpus=gpus)


@pytest.mark.parametrize(
    ("quantisation", "emulated"),
    [
        pytest.param(FLOAT_QUANTISED, True, id="compressed-tensors, float-quantized"),
        pytest.param(
            compressed({"num_bits": 8, "type": "float", "strategy": "tensor"}, "naive-quantized"), True, id="per tensor"
        ),
        pytest.param(BLOCK_FP8, True, id="fp8"),
        pytest.param({"quant_method": "modelopt", "quant_algo": "FP8"}, True, id="modelopt"),
        pytest.param(
            compressed({"num_bits": 8, "type": "int", "strategy": "channel"}, "int-quantized"), False, id="int8"
        ),
        pytest.param(packed_int4(128), False, id="int4"),
    ],
)
def test_fp8_is_emulated_on_ampere_whatever_its_container(
    tmp_path: Path, quantisation: dict[str, object], emulated: bool
) -> None:
    """fp8 inside compressed-tensors is fp8 (GLM-4.5#94)."""
    model = config_only(tmp_path / "m", with_quantisation(QWEN25_7B, quantisation))
    found = told(tmp_path, ["--model", "/models/q"], gpus=rtx3090(), model=model)
    assert ("dtype-emulated" in found.codes("warning")) is emulated
    assert "dtype" not in found.errors
