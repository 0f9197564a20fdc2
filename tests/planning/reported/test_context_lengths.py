"""How long a context may be, and which one is taken where none is told."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.planning.reported.build import SGLANG, TOO_BIG, TOO_LONG, cards, h100, longest_edit, told
from tests.planning.reported.models import DEEPSEEK_V2_LITE, LLAMA3_8B, QWEN3_8B, QWEN25_7B, config_only, decoder

A10 = cards(1, "NVIDIA A10", 23028, "8.6")
SINCE_AUTO = "vllm/vllm-openai:v0.14.0"

# --- a length that fits itself ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        # kaito#2156
        ["--model", "/models/q", "--max-model-len", "auto"],
        ["--model", "/models/q", "--max-model-len=-1"],
        ["--model", "/models/q", "--max_model_len", "-1", "--gpu-memory-utilization", "0.9"],
        ["sh", "-c", "exec vllm serve /models/q --max-model-len auto"],
    ],
)
def test_a_length_that_fits_itself_asks_for_a_small_cache(tmp_path: Path, command: list[str]) -> None:
    """Qwen3-8B on an A10: 15.3 GiB of weights; vLLM chose 20272 of 40960 tokens. The whole would be 5.6 GiB."""
    model = decoder(tmp_path / "m", QWEN3_8B)
    found = told(tmp_path, command, image=SINCE_AUTO, gpus=A10, model=model)
    assert 15.3 < found.minimum_gib < 18.0
    assert not found.warned & set(TOO_BIG)
    assert longest_edit(found, "--max-model-len") is None
    assert found.unplaced == ()


def test_a_length_that_fits_itself_does_not_fit_weights(tmp_path: Path) -> None:
    model = decoder(tmp_path / "m", QWEN3_8B)
    found = told(tmp_path, ["--model", "/models/q", "--max-model-len", "auto"], image=SINCE_AUTO,
                 gpus=cards(1, "NVIDIA GeForce RTX 4060 Ti", 16380, "8.9"), model=model)  # fmt: skip
    assert found.warned & set(TOO_BIG)


def test_a_whole_length_is_asked_for_where_none_is_told(tmp_path: Path) -> None:
    """40960 tokens × 144 KiB = 5.6 GiB."""
    model = decoder(tmp_path / "m", QWEN3_8B)
    found = told(tmp_path, ["--model", "/models/q"], image=SINCE_AUTO, gpus=A10, model=model)
    assert found.minimum_gib > 15.3 + 5.6
    assert found.warned & set(TOO_BIG)


# --- positions that are stretched -------------------------------------------------------------------------------------


def yarn(**other: Any) -> dict[str, Any]:
    return {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768, **other}


@pytest.mark.parametrize(
    ("config", "length"),
    [
        # vllm PR#4930
        pytest.param({**QWEN25_7B, "rope_scaling": yarn()}, 131072, id="yarn"),
        pytest.param({**QWEN25_7B, "rope_scaling": yarn(rope_type="yarn", type=None)}, 131072, id="rope_type"),
        pytest.param(
            {**QWEN25_7B, "rope_parameters": yarn(rope_type="yarn", rope_theta=1e6)}, 131072, id="rope_parameters"
        ),
        pytest.param({"text_config": {**QWEN25_7B, "rope_scaling": yarn()}}, 131072, id="nested"),
        pytest.param(
            {**QWEN25_7B, "max_position_embeddings": 4096, "rope_scaling": {"type": "linear", "factor": 4.0}},
            16384,
            id="linear",
        ),
        # vllm#2518
        pytest.param(
            {**QWEN25_7B, "max_position_embeddings": 2048, "rope_scaling": {"type": "dynamic", "factor": 2.0}},
            4096,
            id="dynamic",
        ),
        # these name the stretched length already
        pytest.param(LLAMA3_8B, 131072, id="llama3"),
        pytest.param(DEEPSEEK_V2_LITE, 163840, id="yarn from 4096 to the length that it has"),
        pytest.param(
            {
                **QWEN25_7B,
                "max_position_embeddings": 131072,
                "original_max_position_embeddings": 4096,
                "rope_scaling": {"type": "longrope", "short_factor": [1.0], "long_factor": [2.0]},
            },
            131072,
            id="longrope",
        ),
        pytest.param(
            {**QWEN25_7B, "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}}, 32768, id="mrope"
        ),
    ],
)
def test_the_longest_length_of_a_model(tmp_path: Path, config: Mapping[str, Any], length: int) -> None:
    """`_get_and_verify_max_len` (vllm/config/model.py): the factor times the positions, for yarn those of
    `original_max_position_embeddings`; not for llama3, longrope and mrope. What is longer is refused."""
    model = config_only(tmp_path / "m", config)
    fits, longer = (
        told(tmp_path, ["--model", "/models/q", "--max-model-len", str(asked)], gpus=h100(), model=model)
        for asked in (length, length + 1)
    )
    assert not fits.codes() & set(TOO_LONG)
    assert longer.errors & set(TOO_LONG)


@pytest.mark.parametrize("length", [131072])
def test_the_stretched_length_is_what_is_cached(tmp_path: Path, length: int) -> None:
    """28 layers × 2 × 4 × 128 × 2 bytes × 131072 tokens = 7 GiB; 1.75 for 32768."""
    model = config_only(tmp_path / "m", {**QWEN25_7B, "rope_scaling": yarn()})
    whole = told(tmp_path, ["--model", "/models/q"], gpus=h100(), model=model)
    short = told(tmp_path, ["--model", "/models/q", "--max-model-len", "32768"], gpus=h100(), model=model)
    assert whole.minimum_gib - short.minimum_gib == pytest.approx(7 * (length - 32768) / 131072, abs=0.02)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--rope-scaling", json.dumps(yarn(rope_type="yarn"))], id="--rope-scaling"),
        pytest.param([f"--rope_scaling={json.dumps(yarn())}"], id="--rope_scaling="),
        pytest.param(["--hf-overrides", json.dumps({"rope_scaling": yarn(rope_type="yarn")})], id="--hf-overrides"),
        pytest.param(["--hf-overrides", json.dumps({"rope_parameters": yarn(rope_type="yarn")})], id="rope_parameters"),
        pytest.param(["--hf-overrides", json.dumps({"max_position_embeddings": 131072})], id="positions"),
        pytest.param(["--hf-overrides.max_position_embeddings", "131072"], id="a dotted option"),
    ],
)
def test_a_length_that_is_stretched_by_an_option(tmp_path: Path, options: list[str]) -> None:
    """vllm#8793; `--hf-overrides` stands for a part of the configuration (vllm/engine/arg_utils.py)."""
    model = config_only(tmp_path / "m", QWEN25_7B)
    command = ["--model", "/models/q", "--max-model-len", "131072", *options]
    assert not told(tmp_path, command, gpus=h100(), model=model).codes() & set(TOO_LONG)


def test_a_length_that_is_stretched_by_an_option_in_a_script(tmp_path: Path) -> None:
    model = config_only(tmp_path / "m", QWEN25_7B)
    script = f"vllm serve /models/q --max-model-len 131072 --rope-scaling '{json.dumps(yarn())}'"
    found = told(tmp_path, None, entrypoint=["bash", "-c", script], gpus=h100(), model=model)
    assert not found.codes() & set(TOO_LONG)


def test_a_longer_length_is_refused(tmp_path: Path) -> None:
    """vllm#8793: "User-specified max_model_len (131072) is greater than the derived max_model_len"."""
    model = config_only(tmp_path / "m", QWEN25_7B)
    found = told(tmp_path, ["--model", "/models/q", "--max-model-len", "131072"], gpus=h100(), model=model)
    assert found.errors & set(TOO_LONG)
    assert longest_edit(found, "--max-model-len") in (None, 32768)


@pytest.mark.parametrize("value", ["1", "true"])
def test_a_longer_length_may_be_allowed(tmp_path: Path, value: str) -> None:
    """VLLM_ALLOW_LONG_MAX_MODEL_LEN: then it is a warning at most (vllm#8793)."""
    model = config_only(tmp_path / "m", QWEN25_7B)
    found = told(tmp_path, ["--model", "/models/q", "--max-model-len", "131072"], gpus=h100(), model=model,
                 environment={"VLLM_ALLOW_LONG_MAX_MODEL_LEN": value})  # fmt: skip
    assert not found.errors


@pytest.mark.parametrize(
    ("environment", "refused"), [({}, True), ({"SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN": "1"}, False)]
)
def test_the_same_in_sglang(tmp_path: Path, environment: dict[str, str], *, refused: bool) -> None:
    """ "User-specified context_length (131072) is greater than the derived context_length" (sglang/srt/configs/
    model_config.py)."""
    model = config_only(tmp_path / "m", QWEN25_7B)
    command = ["python3", "-m", "sglang.launch_server", "--model-path", "/models/q", "--context-length", "131072"]
    found = told(tmp_path, command, image=SGLANG, gpus=h100(), model=model, environment=environment)
    assert bool(found.errors & set(TOO_LONG)) is refused


@pytest.mark.parametrize(("text", "tokens"), [("32k", 32000), ("32K", 32768), ("1M", 2**20)])
def test_lengths_with_a_letter(tmp_path: Path, text: str, tokens: int) -> None:
    """`human_readable_int` (vllm/engine/arg_utils.py)."""
    model = config_only(tmp_path / "m", {**QWEN25_7B, "max_position_embeddings": 2**20})
    by_letter, by_number = (
        told(tmp_path, ["--model", "/models/q", "--max-model-len", value], gpus=h100(), model=model)
        for value in (text, str(tokens))
    )
    assert by_letter.minimum_mib == by_number.minimum_mib
