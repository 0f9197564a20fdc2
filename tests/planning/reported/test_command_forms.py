"""How commands are written, and where the model stands in them."""

from pathlib import Path

import pytest

from tests.planning.reported.build import LLAMA_CPP, SGLANG, TGI, VLLM, h100, told, told_of
from tests.planning.reported.models import FALCON_7B, config_only

# --- the module after `python -m` is no model -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "command"),
    [
        # vllm#2807
        (VLLM, "python3 -u -m vllm.entrypoints.openai.api_server --model /models/q"),
        (VLLM, "/usr/bin/python3.11 -X faulthandler -O -m vllm.entrypoints.openai.api_server --model /models/q"),
        (SGLANG, "python3 -u -m sglang.launch_server --model-path /models/q --tp 1"),
        (
            "mine/serve:1",
            ["bash", "-c", "exec uv run python -u -m vllm.entrypoints.openai.api_server --model=/models/q"],
        ),
        (TGI, "--model-id /models/q --num-shard 1"),
    ],
)
def test_a_module_that_python_runs_is_not_the_model(tmp_path: Path, image: str, command: str | list[str]) -> None:
    assert told(tmp_path, command, image=image, gpus=h100()).model == "/models/q"


def test_the_short_option_of_llama_cpp_is_the_model(tmp_path: Path) -> None:
    """llama.cpp's server has no module: there `-m` names the model (tools/server/README.md)."""
    found = told(tmp_path, ["-m", "/models/q.gguf", "-c", "4096"], image=LLAMA_CPP, gpus=h100())
    assert found.model == "/models/q.gguf"


def test_a_script_that_python_runs_may_have_the_short_option(tmp_path: Path) -> None:
    """Only an `-m` of Python itself, before a script, is a module."""
    found = told(tmp_path, ["python3", "-u", "serve.py", "-m", "/models/q"], image="mine/serve:1", gpus=h100())
    assert found.model == "/models/q"


# --- an option and its value in one item ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "command", "name"),
    [
        (VLLM, ["--model", "/models/q", "--tensor-parallel-size 2"], "--tensor-parallel-size"),
        (VLLM, ["--model", "/models/q", "--max-model-len 8192", "--enforce-eager"], "--max-model-len"),
        (VLLM, ["--model /models/q"], "--model"),
        (LLAMA_CPP, ["-m", "/models/q.gguf", "-c 8192"], "-c"),
        (SGLANG, ["python3", "-m", "sglang.launch_server", "--model-path", "/models/q", "--tp 2"], "--tp"),
    ],
)
def test_an_option_with_its_value_in_one_item_is_refused_by_the_parser(
    tmp_path: Path, image: str, command: list[str], name: str
) -> None:
    """argparse takes what has a blank in it for a positional argument ("unrecognized arguments: --tensor-parallel-size
    2"), llama.cpp says "invalid argument: -c 8192"."""
    found = told(tmp_path, command, image=image, gpus=h100(2))
    told_of_it = [one for one in found.findings if f"{name} " in f"{one.text} {one.fix} " and one.severity == "error"]
    assert told_of_it, found.findings


@pytest.mark.parametrize(
    "command",
    [
        ["--model", "/models/q", "--hf-overrides", '{"max_position_embeddings": 4096}'],
        ["--model", "/models/q", '--compilation-config={"mode": 3, "cudagraph_mode": "FULL"}'],
        ["--model", "/models/q", "--chat-template", "{{ messages }} and more"],
        ["--model", "/models/q", "--served-model-name", "my model"],
        ["sh", "-c", "vllm serve /models/q --tensor-parallel-size 1"],
    ],
)
def test_a_value_with_a_blank_in_it_is_none_of_these(tmp_path: Path, command: list[str]) -> None:
    """A value may hold blanks, and so may what stands behind `=`; a script is one item anyway."""
    model = config_only(tmp_path / "m", {"num_hidden_layers": 2, "num_attention_heads": 8, "hidden_size": 64})
    assert told(tmp_path, command, gpus=h100(), model=model).errors == set()


# --- heads that share keys and values ---------------------------------------------------------------------------------

RW_1B = {
    "model_type": "falcon", "num_hidden_layers": 24, "hidden_size": 2048, "num_attention_heads": 32,
    "multi_query": False, "vocab_size": 50304, "torch_dtype": "bfloat16",
}  # fmt: skip
FALCON_40B = {
    "model_type": "falcon", "num_hidden_layers": 60, "hidden_size": 8192, "num_attention_heads": 128,
    "num_kv_heads": 8, "multi_query": True, "new_decoder_architecture": True, "vocab_size": 65024,
}  # fmt: skip
STARCODER = {
    "model_type": "gpt_bigcode", "n_layer": 40, "n_embd": 6144, "n_head": 48, "n_positions": 8192,
    "multi_query": True, "vocab_size": 49152,
}  # fmt: skip
CHATGLM = {
    "model_type": "chatglm", "num_layers": 40, "hidden_size": 4096, "num_attention_heads": 32, "kv_channels": 128,
    "multi_query_attention": True, "multi_query_group_num": 2, "seq_length": 131072, "padded_vocab_size": 151552,
}  # fmt: skip
DBRX = {
    "model_type": "dbrx", "n_layers": 40, "d_model": 6144, "n_heads": 48, "max_seq_len": 32768, "vocab_size": 100352,
    "attn_config": {"kv_n_heads": 8, "clip_qkv": 8}, "ffn_config": {"moe_num_experts": 16, "ffn_hidden_size": 10752},
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "per_token"),
    [
        # falcon-7b says num_kv_heads 71 beside multi_query: it is 1 (vLLM, `ModelConfig.get_total_num_kv_heads`).
        # 32 layers × 2 × 1 head × 64 × 2 bytes
        pytest.param(FALCON_7B, 32 * 2 * 1 * 64 * 2, id="falcon-7b"),
        pytest.param(RW_1B, 24 * 2 * 32 * 64 * 2, id="falcon-rw-1b, without"),
        pytest.param(FALCON_40B, 60 * 2 * 8 * 64 * 2, id="falcon-40b, groups"),
        pytest.param(STARCODER, 40 * 2 * 1 * 128 * 2, id="starcoder"),
        pytest.param(CHATGLM, 40 * 2 * 2 * 128 * 2, id="glm-4-9b"),
        pytest.param(DBRX, 40 * 2 * 8 * 128 * 2, id="dbrx, in a part of its own"),
    ],
)
def test_heads_of_keys_and_values_are_counted_as_the_engine_does(
    tmp_path: Path, config: dict[str, object], per_token: int
) -> None:
    """Two lengths differ by that many tokens' keys and values (vllm, tgi#1354)."""
    model = config_only(tmp_path / "m", config)
    few, many = (
        told(tmp_path, ["--model", "/models/q", "--max-model-len", str(length)], gpus=h100(), model=model)
        for length in (2048, 2048 + 32768)
    )
    assert few.minimum_mib is not None
    assert many.minimum_mib is not None
    assert many.minimum_mib - few.minimum_mib == pytest.approx(32768 * per_token / 2**20, abs=2)


# --- variables that name GPUs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["all", "cuda:0", "cuda:1,cuda:0", "gpu0", "none"])
def test_cuda_visible_devices_with_words_hides_every_gpu(tmp_path: Path, value: str) -> None:
    """CUDA takes indices and UUIDs, and stops at the first entry that is none (ComfyUI-Docker#60; CUDA C++ Programming
    Guide, "CUDA Environment Variables")."""
    found = told(
        tmp_path, ["python", "main.py"], image="comfyui:1", gpus=h100(2), environment={"CUDA_VISIBLE_DEVICES": value}
    )
    assert any("CUDA_VISIBLE_DEVICES" in one.text and one.severity in ("error", "warning") for one in found.findings), (
        found.findings
    )


@pytest.mark.parametrize("value", ["0", "1,0", "0,1", "GPU-00000000-0000", "MIG-0d0c6b8e-96c7-5f2a-9a4e-ffb4b6c0a3f1"])
def test_cuda_visible_devices_with_what_cuda_takes_is_fine(tmp_path: Path, value: str) -> None:
    found = told(
        tmp_path, ["python", "main.py"], image="comfyui:1", gpus=h100(2), environment={"CUDA_VISIBLE_DEVICES": value}
    )
    assert not any("CUDA_VISIBLE_DEVICES" in one.text and "no GPU" in one.text for one in found.findings)


@pytest.mark.parametrize("way", ["runtime: nvidia", "gpus: all"])
def test_words_beside_other_ways_to_ask_for_gpus(tmp_path: Path, way: str) -> None:
    """ComfyUI-Docker#60."""
    text = f"""
services:
  llm:
    image: comfyui:1
    {way}
    environment: [NVIDIA_VISIBLE_DEVICES=all, CUDA_VISIBLE_DEVICES=all]
"""
    found = told_of(tmp_path, text, gpus=h100(2))
    hidden = [one for one in found.findings if "CUDA_VISIBLE_DEVICES" in one.text]
    assert hidden
    assert {one.severity for one in hidden} <= {"error", "warning"}
