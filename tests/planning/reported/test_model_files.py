"""Files of models whose names or contents are not what one expects."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.models.files import gguf_text, gguf_value, write_safetensors
from tests.planning.reported.build import LLAMA_CPP, SGLANG, h100, rtx3090, told
from tests.planning.reported.models import DEEPSEEK_V2_LITE, GLM45V, LLAMA3_8B, Q4_K, config_only, layers_gguf

LLAMA_GGUF = {
    "block_count": 32, "embedding_length": 4096, "attention.head_count": 32, "attention.head_count_kv": 8,
    "feed_forward_length": 14336, "context_length": 131072,
}  # fmt: skip

# --- a GGUF by another name -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "command", "environment"),
    [
        # ramalama#1354
        pytest.param("model.file", ["llama-server", "--model", "/m/model.file", "-c", "8192"], {}, id="ramalama"),
        pytest.param(
            "sha256-" + "6a" * 32,
            ["llama-server", "-c", "8192"],
            {"LLAMA_ARG_MODEL": "/m/sha256-" + "6a" * 32},
            id="a blob of Ollama, by a variable",
        ),
        pytest.param("llama-8b", ["sh", "-c", "exec llama-server --model /m/llama-8b -c 8192"], {}, id="no ending"),
        pytest.param("model.bin", ["/app/llama-server", "--model=/m/model.bin", "--ctx-size=8192"], {}, id=".bin"),
        pytest.param("Llama.GGUF", ["llama-server", "-m", "/m/Llama.GGUF", "-c", "8192"], {}, id="capitals"),
    ],
)
def test_the_first_bytes_of_a_file_tell_what_it_is(
    tmp_path: Path, name: str, command: list[str], environment: dict[str, str]
) -> None:
    """4.6 GiB of weights and 32 layers × 2 × 8 × 128 × 2 bytes × 8192 tokens = 1 GiB."""
    layers_gguf(tmp_path / "m" / name, "llama", LLAMA_GGUF, gib=4.6, kind=Q4_K)
    found = told(
        tmp_path, command, image=LLAMA_CPP, gpus=rtx3090(), more={"/m": tmp_path / "m"}, environment=environment
    )
    assert found.errors == set()
    assert found.source == "weights"
    assert found.minimum_gib == pytest.approx(4.6 + 1.0 + 0.95, abs=0.15)


def test_a_safetensors_file_by_another_name(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    write_safetensors(tmp_path / "m" / "blob", [("w", "BF16", (2**30,))])
    found = told(tmp_path, ["serve", "/m/blob"], image="mine/x:1", gpus=rtx3090(), more={"/m": tmp_path / "m"})
    assert "no-weights" not in found.codes()


@pytest.mark.parametrize("content", [b"PK\x03\x04" + b"\0" * 100, b"", b"ggjt" + b"\0" * 60])
def test_a_file_that_cannot_be_read_is_not_without_weights(tmp_path: Path, content: bytes) -> None:
    """What is of a kind that is not known is unread, and that is said."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.file").write_bytes(content)
    found = told(
        tmp_path, ["-m", "/m/model.file", "-c", "4096"], image=LLAMA_CPP, gpus=rtx3090(), more={"/m": tmp_path / "m"}
    )
    assert "no-weights" not in found.codes()
    assert {"model-unread", "model-damaged"} & found.codes()
    assert found.minimum_mib is None


def test_a_folder_without_weights_still_is_one(tmp_path: Path) -> None:
    """Here everything could be read, and there is nothing."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text("{}")
    (tmp_path / "m" / "tokenizer.json").write_text('{"model": {"type": "BPE"}}')
    found = told(tmp_path, ["--model", "/models/q"], gpus=h100(), model=tmp_path / "m")
    assert "no-weights" in found.errors


# --- what is not known is not nothing ---------------------------------------------------------------------------------


def write_new_gguf(path: Path, kind: int, count: int = 4) -> None:
    """A GGUF with tensors of a type that does not exist yet."""
    values: dict[str, object] = {"general.architecture": "llama"}
    values |= {f"llama.{key}": value for key, value in LLAMA_GGUF.items()}
    raw = b"GGUF" + struct.pack("<IQQ", 3, count, len(values))
    raw += b"".join(gguf_text(key) + gguf_value(value) for key, value in values.items())
    for number in range(count):
        raw += gguf_text(f"blk.{number}.attn_q.weight") + struct.pack("<I2QIQ", 2, 4096, 4096, kind, number * 2**24)
    with path.open("wb") as file:
        file.write(raw)
        file.truncate(2**30)


@pytest.mark.parametrize("kind", [41, 77, 255])
def test_a_newer_type_of_tensor_is_told_to_be_unread(tmp_path: Path, kind: int) -> None:
    (tmp_path / "m").mkdir()
    write_new_gguf(tmp_path / "m" / "q.gguf", kind)
    found = told(
        tmp_path, ["-m", "/m/q.gguf", "-c", "4096"], image=LLAMA_CPP, gpus=rtx3090(), more={"/m": tmp_path / "m"}
    )
    assert "model-unread" in found.codes()
    assert found.minimum_mib is None


@pytest.mark.parametrize(
    ("image", "command"),
    [
        pytest.param("vllm/vllm-openai:v0.11.0", ["--model", "/models/q", "--kv-cache-dtype", "turbo3"], id="vllm"),
        pytest.param("vllm/vllm-openai:v0.11.0", "--model /models/q --kv_cache_dtype=int3_tensor", id="vllm, another"),
        pytest.param(
            SGLANG,
            [
                "python3",
                "-m",
                "sglang.launch_server",
                "--model-path",
                "/models/q",
                "--kv-cache-dtype",
                "x9",
                "--context-length",
                "131072",
            ],
            id="sglang",
        ),
    ],
)
def test_a_type_of_cache_that_is_not_known_lowers_nothing(tmp_path: Path, image: str, command: str | list[str]) -> None:
    """Its width is not known: then neither is the minimum, and it is said."""
    model = config_only(tmp_path / "m", LLAMA3_8B)
    found = told(tmp_path, command, image=image, gpus=h100(), model=model)
    assert found.minimum_mib is None
    assert {"option-unread", "bad-option", "model-unread"} & found.codes()


@pytest.mark.parametrize("options", [["-ctk", "tbq3_0"], ["--cache-type-v", "x4_0", "-fa", "on"]])
def test_the_same_of_llama_cpp(tmp_path: Path, options: list[str]) -> None:
    layers_gguf(tmp_path / "m" / "q.gguf", "llama", LLAMA_GGUF, gib=4.6, kind=Q4_K)
    command = ["-m", "/m/q.gguf", "-c", "131072", *options]
    found = told(tmp_path, command, image=LLAMA_CPP, gpus=h100(), more={"/m": tmp_path / "m"})
    assert found.minimum_mib is None
    assert {"option-unread", "bad-option", "model-unread"} & found.codes()


@pytest.mark.parametrize(
    ("name", "bits"), [("auto", 16), ("bfloat16", 16), ("fp8", 8), ("fp8_e5m2", 8), ("fp8_ds_mla", 8)]
)
def test_known_types_of_cache(tmp_path: Path, name: str, bits: int) -> None:
    """32 layers × 2 × 8 × 128 × 131072 tokens = 8 GiB at 8 bits (vllm/config/cache.py, `CacheDType`). The type of
    DeepSeek's sparse attention is none of this model: it may be unknown."""
    model = config_only(tmp_path / "m", LLAMA3_8B)
    found = told(tmp_path, ["--model", "/models/q", "--kv-cache-dtype", name], gpus=h100(), model=model)
    if found.minimum_mib is None:
        assert name == "fp8_ds_mla"
    else:
        assert found.minimum_gib > bits


# --- parts within parts -----------------------------------------------------------------------------------------------

THINKER = {
    "num_hidden_layers": 48, "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128, "hidden_size": 2048,
    "intermediate_size": 768, "moe_intermediate_size": 768, "num_experts": 128, "vocab_size": 152064,
    "max_position_embeddings": 65536,
}  # fmt: skip
TALKER = {**THINKER, "num_hidden_layers": 20, "num_attention_heads": 16, "num_key_value_heads": 2, "hidden_size": 1024}


@pytest.mark.parametrize(
    "config",
    [
        # vllm-omni#240
        pytest.param({"thinker_config": {"text_config": THINKER}}, id="one level deeper"),
        pytest.param(
            {
                "model_type": "qwen3_omni_moe",
                "talker_config": {"text_config": TALKER},
                "thinker_config": {"text_config": THINKER, "audio_config": {"num_hidden_layers": 32}},
                "code2wav_config": {"num_hidden_layers": 8, "num_attention_heads": 16},
            },
            id="beside a smaller one",
        ),
        pytest.param({"llm_config": THINKER}, id="llm_config"),
        pytest.param({"model": {"language_config": THINKER}}, id="language_config in a part"),
        pytest.param(
            {"llm_config": {"text_config": THINKER}, "vision_config": {"hidden_size": 64}}, id="in llm_config"
        ),
    ],
)
def test_the_text_part_is_found_wherever_it_is(tmp_path: Path, config: Mapping[str, Any]) -> None:
    """48 layers × 2 × 4 × 128 × 2 bytes = 96 KiB a token, 2.25 GiB for 24576."""
    model = config_only(tmp_path / "m", config)
    few, many = (
        told(tmp_path, ["--model", "/models/q", "--enable-expert-parallel", "--max-model-len", str(length)],
             gpus=h100(), model=model)
        for length in (8192, 32768)
    )  # fmt: skip
    assert few.errors == set()
    assert many.minimum_gib - few.minimum_gib == pytest.approx(2.25, abs=0.01)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"model_type": "new_moe", "blocks": {"width": 2048}}, id="nothing that is known"),
        pytest.param(
            {"architectures": ["GrokForCausalLM"], "num_hidden_layers": 64, "n_experts_total": 8}, id="another key"
        ),
    ],
)
def test_experts_that_are_not_found_are_not_said_to_be_missing(tmp_path: Path, config: Mapping[str, Any]) -> None:
    model = config_only(tmp_path / "m", config)
    found = told(tmp_path, ["--model", "/models/q", "--enable-expert-parallel"], gpus=h100(), model=model)
    assert found.errors == set()


def test_a_dense_model_has_no_experts(tmp_path: Path) -> None:
    """Where the configuration is a known one that has none, that is still said."""
    model = config_only(tmp_path / "m", LLAMA3_8B)
    found = told(tmp_path, ["--model", "/models/q", "--enable-expert-parallel"], gpus=h100(), model=model)
    assert "no-experts" in found.codes()


@pytest.mark.parametrize(
    ("key", "config"),
    [
        ("n_routed_experts", DEEPSEEK_V2_LITE),
        ("moe_num_experts", {**LLAMA3_8B, "model_type": "ernie4_5_moe", "moe_num_experts": 64}),
        (
            "ffn_config",
            {
                "model_type": "dbrx",
                "d_model": 6144,
                "n_heads": 48,
                "n_layers": 40,
                "ffn_config": {"moe_num_experts": 16},
            },
        ),
        ("text_config", GLM45V),
    ],
)
def test_what_experts_are_called(tmp_path: Path, key: str, config: Mapping[str, Any]) -> None:
    assert key in config
    model = config_only(tmp_path / "m", config)
    found = told(tmp_path, ["--model", "/models/q", "--enable-expert-parallel"], gpus=h100(), model=model)
    assert "no-experts" not in found.codes()


# --- the vision part --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        # vllm PR#23168
        ["--mm-encoder-tp-mode", "data"],
        ["--mm_encoder_tp_mode=data"],
        # what v0.10.0 called it
        ["--enable-multimodal-encoder-data-parallel"],
    ],
)
def test_a_vision_encoder_that_is_not_cut_has_no_rule_of_heads(tmp_path: Path, options: list[str]) -> None:
    """12 heads and 8 GPUs: each GPU has the encoder whole."""
    model = config_only(tmp_path / "m", GLM45V)
    found = told(tmp_path, ["--model", "/models/q", "-tp", "8", *options], gpus=h100(8), model=model)
    assert "vision-heads" not in found.codes()


def test_a_vision_encoder_that_is_not_cut_in_a_script(tmp_path: Path) -> None:
    model = config_only(tmp_path / "m", GLM45V)
    script = "vllm serve /models/q -tp 8 \\\n  --mm-encoder-tp-mode data --enable-expert-parallel"
    found = told(tmp_path, None, entrypoint=["sh", "-c", script], gpus=h100(8), model=model)
    assert found.errors == set()


def test_a_vision_encoder_that_is_not_cut_in_sglang(tmp_path: Path) -> None:
    """`--mm-enable-dp-encoder` (sglang/srt/server_args.py)."""
    model = config_only(tmp_path / "m", GLM45V)
    command = ["python3", "-m", "sglang.launch_server", "--model-path", "/models/q", "--tp", "8"]
    whole = told(tmp_path, [*command, "--mm-enable-dp-encoder"], image=SGLANG, gpus=h100(8), model=model)
    assert "vision-heads" not in whole.codes()


@pytest.mark.parametrize("options", [[], ["--mm-encoder-tp-mode", "weights"]])
def test_a_vision_encoder_that_is_cut_has_one(tmp_path: Path, options: list[str]) -> None:
    """vllm#24004: 12 heads cannot be divided by 8."""
    model = config_only(tmp_path / "m", GLM45V)
    found = told(tmp_path, ["--model", "/models/q", "-tp", "8", *options], gpus=h100(8), model=model)
    assert "vision-heads" in found.errors
