"""The same kinds in other words: what engines accept raises no error, and what is read is counted."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.planning.reported.build import (
    LLAMA_CPP,
    SGLANG,
    TOO_LONG,
    VLLM,
    WIDTHS,
    Told,
    a100,
    h100,
    rtx3090,
    t4,
    told,
)
from tests.planning.reported.models import (
    AWQ,
    GLM45V,
    LLAMA3_8B,
    LLAMA32_1B,
    Q8_0,
    QWEN3_30B,
    QWEN3_235B_FP8,
    QWEN25_7B,
    config_only,
    decoder,
    layers_gguf,
    packed_int4,
    sized,
)

SGLANG_SERVES = ("python3", "-m", "sglang.launch_server", "--model-path", "/models/q")


def vllm(folder: Path, config: Mapping[str, Any], *words: str, gpus: Any = None, image: str = VLLM) -> Told:
    model = config_only(folder / "m", config)
    return told(folder, ["--model", "/models/q", *words], image=image, gpus=gpus or h100(), model=model)


def sglang(folder: Path, config: Mapping[str, Any], *words: str, gpus: Any) -> Told:
    model = config_only(folder / "m", config)
    return told(folder, [*SGLANG_SERVES, *words], image=SGLANG, gpus=gpus, model=model)


def llama(folder: Path, architecture: str, values: Mapping[str, Any], *words: str, gpus: Any = None) -> Told:
    layers_gguf(folder / "m" / "q.gguf", architecture, values, gib=4.0, kind=Q8_0)
    command = ["-m", "/m/q.gguf", "-fa", "on", *words]
    return told(folder, command, image=LLAMA_CPP, gpus=gpus or h100(), more={"/m": folder / "m"})


def test_a_bfloat16_model_on_an_old_gpu_falls_back_by_itself(tmp_path: Path) -> None:
    """vLLM, `_resolve_auto_dtype`: "Falling back to torch.float16"."""
    found = vllm(tmp_path, LLAMA32_1B, "--max-model-len", "4096", gpus=t4())
    assert found.errors == set()
    assert "dtype-fallback" in found.warned
    asked = vllm(tmp_path, LLAMA32_1B, "--dtype", "bfloat16", gpus=t4())
    assert "dtype" in asked.errors


INTERN = {**QWEN25_7B, "architectures": ["InternVLChatModel"], "vision_config": {"num_attention_heads": 25}}


def test_a_vision_part_that_is_not_cut_has_no_rule(tmp_path: Path) -> None:
    """vLLM, intern_vit: "we also disable Attention's TP"."""
    assert "vision-heads" not in vllm(tmp_path, INTERN, "-tp", "4", gpus=h100(4)).codes()
    dotted = ("--limit-mm-per-prompt.image", "0", "--limit-mm-per-prompt.video", "0")
    assert "vision-heads" not in vllm(tmp_path, GLM45V, "-tp", "8", *dotted, gpus=h100(8)).codes()


@pytest.mark.parametrize(
    "quantisation",
    [
        {**packed_int4(128), "ignore": ["lm_head", "re:.*shared_expert.*"]},
        {**AWQ, "modules_to_not_convert": ["mlp.shared_expert"]},
    ],
)
def test_layers_that_are_left_out_of_quantisation_have_no_rule(tmp_path: Path, quantisation: Mapping[str, Any]) -> None:
    config = {**QWEN3_30B, "shared_expert_intermediate_size": 512, "quantization_config": quantisation}
    found = vllm(tmp_path, config, "-tp", "8", "--enable-expert-parallel", gpus=h100(8))
    assert not found.errors & set(WIDTHS)


@pytest.mark.parametrize("flags", [("--moe-a2a-backend", "deepep"), ("--enable-ep-moe",)])
def test_expert_parallelism_of_sglang_by_other_flags(tmp_path: Path, flags: Sequence[str]) -> None:
    assert not sglang(tmp_path, QWEN3_235B_FP8, "--tp", "8", *flags, gpus=h100(8)).errors & set(WIDTHS)


def test_heads_with_attention_that_is_not_cut(tmp_path: Path) -> None:
    config = {**QWEN25_7B, "num_attention_heads": 40, "num_key_value_heads": 10}
    found = sglang(tmp_path, config, "--tp", "4", "--dp", "4", "--enable-dp-attention", gpus=h100(4))
    assert not found.errors & {"heads", "kv-heads"}


def test_more_shares_than_gpus(tmp_path: Path) -> None:
    values = {"block_count": 32, "embedding_length": 4096, "attention.head_count": 32, "attention.head_count_kv": 8}
    found = llama(tmp_path, "llama", values, "-ts", "1,1,1,1", gpus=rtx3090(2))
    assert "too-few-gpus" not in found.codes()


@pytest.mark.parametrize(
    ("config", "words", "length"),
    [
        ({**QWEN25_7B, "max_position_embeddings": 4096, "model_max_length": 16384}, (), 16384),
        (
            QWEN25_7B,
            (
                "--hf-overrides.rope_scaling.rope_type", "yarn", "--hf-overrides.rope_scaling.factor", "4.0",
                "--hf-overrides.rope_scaling.original_max_position_embeddings", "32768",
            ),
            131072,
        ),
        (
            {
                **QWEN25_7B,
                "rope_parameters": {
                    "full_attention": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
                    "sliding_attention": {"rope_type": "default"},
                },
            },
            (),
            131072,
        ),
    ],
)  # fmt: skip
def test_other_ways_to_a_longer_context(
    tmp_path: Path, config: Mapping[str, Any], words: Sequence[str], length: int
) -> None:
    found = vllm(tmp_path, config, "--max-model-len", str(length), *words)
    assert not found.codes() & set(TOO_LONG)


def test_positions_that_are_stretched_already(tmp_path: Path) -> None:
    """gemma3: "already scaled by RoPE scaling" (vLLM, `_get_and_verify_max_len`)."""
    config = {
        **LLAMA3_8B, "model_type": "gemma3_text", "max_position_embeddings": 131072,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    }  # fmt: skip
    assert vllm(tmp_path, config, "--max-model-len", "262144").errors & set(TOO_LONG)


@pytest.mark.parametrize("image", ["mirror.example/ai/vllm:0.3", "mirror.example/team/vllm:0.5", "nv/vllm:25.10-py3"])
def test_a_version_of_somebodys_own_image_is_not_that_of_the_engine(tmp_path: Path, image: str) -> None:
    config = {**QWEN25_7B, "quantization_config": {"quant_method": "fp8"}}
    assert vllm(tmp_path, config, "--max-model-len", "8192", gpus=a100(), image=image).errors == set()


def test_what_a_script_of_ones_own_splits_is_no_error(tmp_path: Path) -> None:
    found = told(tmp_path, ["--max-model-len 8192"], entrypoint=["/start.sh"], image=VLLM, gpus=h100())
    assert found.errors == set()


@pytest.mark.parametrize(
    "entrypoint",
    [["python3", "/app/serve.py"], ["/start"], ["/usr/bin/env", "bash", "/start.sh"], ["tini", "--", "/app/go"]],
)
def test_other_programs_of_ones_own(tmp_path: Path, entrypoint: list[str]) -> None:
    assert "idle-gpus" not in told(tmp_path, None, entrypoint=entrypoint, image=VLLM, gpus=h100(2)).codes()


@pytest.mark.parametrize("more", [{"num_routed_experts": 64}, {"num_experts": [64, 64]}])
def test_experts_by_another_name_are_not_missing(tmp_path: Path, more: Mapping[str, Any]) -> None:
    config = {**LLAMA3_8B, "model_type": "pangu", **more}
    assert "no-experts" not in vllm(tmp_path, config, "--enable-expert-parallel").codes()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({**QWEN25_7B, "rope_scaling": {"rope_type": "yarn", "factor": 1e308}}, ()),
        (QWEN25_7B, ("--rope-scaling", json.dumps({"rope_type": "yarn", "factor": 1e308}))),
        (QWEN25_7B, ("--cpu-offload-gb=1e308",)),
        ({**QWEN25_7B, "num_hidden_layers": 2**31 - 1}, ()),
    ],
)
def test_numbers_that_are_nobodys(tmp_path: Path, config: Mapping[str, Any], words: Sequence[str]) -> None:
    vllm(tmp_path, config, *words)


def test_a_gguf_with_more_layers_than_any_model(tmp_path: Path) -> None:
    values = {"block_count": 4, "embedding_length": 4096, "attention.head_count": 32, "attention.head_count_kv": 8}
    layers_gguf(tmp_path / "m" / "q.gguf", "llama", values, gib=1.0, kind=Q8_0)
    raw = (tmp_path / "m" / "q.gguf").read_bytes()
    key = b"llama.block_count"
    at = raw.index(key) + len(key) + 4
    (tmp_path / "m" / "q.gguf").write_bytes(raw[:at] + (2**31 - 1).to_bytes(4, "little") + raw[at + 4 :])
    told(tmp_path, ["-m", "/m/q.gguf"], image=LLAMA_CPP, gpus=h100(), more={"/m": tmp_path / "m"})


def grows_by(folder: Path, config: Mapping[str, Any]) -> float:
    short, long = (vllm(folder, config, "--max-model-len", str(length)) for length in (32768, 65536))
    return long.minimum_gib - short.minimum_gib


NAS = [{"attention": {"n_heads_in_group": 8, "no_op": layer % 2 == 0}} for layer in range(32)]


@pytest.mark.parametrize(
    ("more", "layers"),
    [
        ({"layer_types": ["jet", "jet", "jet", "attn"] * 8}, 32),
        ({"layer_types": [None] * 32}, 32),
        ({"attn_type_list": ["1", "0"] * 16}, 16),
        ({"full_attn_idxs": [2, 5, 8]}, 3),
        ({"num_key_value_heads": None, "num_attention_heads": 64, "head_dim": 128, "block_configs": NAS}, 16),
    ],
)
def test_layers_of_kinds_that_are_not_known_are_whole(tmp_path: Path, more: Mapping[str, Any], layers: int) -> None:
    """8 heads of 128 for keys and values each, in 16 bits: 4 KiB a token and layer."""
    config = {**LLAMA3_8B, "max_position_embeddings": 131072, **more}
    assert grows_by(tmp_path, config) == pytest.approx(layers * 4096 * 32768 / 2**30, abs=0.02)


def test_files_in_32_bits_are_loaded_in_16(tmp_path: Path) -> None:
    """vLLM casts float32 to float16 unless it is asked for."""
    model = sized(tmp_path / "m", {**LLAMA3_8B, "torch_dtype": "float32"}, 15.0)
    command = ["--model", "/models/q", "--max-model-len", "8192"]
    auto, whole = (told(tmp_path, [*command, *more], gpus=h100(), model=model) for more in ((), ("--dtype", "float32")))
    assert whole.minimum_gib - auto.minimum_gib == pytest.approx(15.0 + 1.0, abs=0.2)


def test_several_requests_have_a_window_each(tmp_path: Path) -> None:
    values = {
        "block_count": 62, "attention.head_count": 32, "attention.head_count_kv": 16, "attention.key_length": 128,
        "embedding_length": 5376, "attention.sliding_window": 1024,
    }  # fmt: skip
    one, many = (llama(tmp_path, "gemma3", values, "-c", "32768", "-np", number) for number in ("1", "8"))
    # 52 layers × 8 KiB × 7 × (1024 + 512)
    assert many.minimum_gib - one.minimum_gib == pytest.approx(52 * 8192 * 7 * 1536 / 2**30, abs=0.1)


def test_values_of_another_width_than_keys(tmp_path: Path) -> None:
    values = {
        "block_count": 32, "attention.head_count": 32, "attention.head_count_kv": 8, "embedding_length": 4096,
        "attention.key_length": 256, "attention.value_length": 64,
    }  # fmt: skip
    few, many = (llama(tmp_path, "llama", values, "-c", number) for number in ("32768", "65536"))
    assert many.minimum_gib - few.minimum_gib == pytest.approx(32 * 8 * (256 + 64) * 2 * 32768 / 2**30, abs=0.02)


def test_a_variable_that_stands_in_the_command_too_is_read(tmp_path: Path) -> None:
    model = decoder(tmp_path / "m", LLAMA32_1B, tied=True)
    command = ["--model", "/models/q", "--max-model-len", "8192", "--dtype", "auto"]
    found = told(tmp_path, command, gpus=h100(), model=model, environment={"DTYPE": "auto"})
    assert "variable-unread" not in found.codes()
