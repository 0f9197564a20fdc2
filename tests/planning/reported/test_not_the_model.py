"""Memory that is not the model's own: it is counted, or it is said that it is not."""

import json
from pathlib import Path

import pytest

from tests.planning.reported.build import LLAMA_CPP, SGLANG, a100, h100, rtx4090, told
from tests.planning.reported.models import LLAMA3_8B, Q4_K, Q8_0, QWEN25_7B, QWEN25_32B, decoder, layers_gguf

A100_40 = a100(4, 40960)

# --- draft models -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "options"),
    [
        # vllm#8731: a draft of one GPU was 14.2 GiB more on the first
        pytest.param(
            "vllm/vllm-openai:v0.6.1",
            ["--speculative-model", "/models/draft", "--num-speculative-tokens", "5"],
            id="old",
        ),
        pytest.param(
            "vllm/vllm-openai:v0.11.0",
            ["--speculative-config", json.dumps({"model": "/models/draft", "num_speculative_tokens": 5})],
            id="new",
        ),
        pytest.param(
            "vllm/vllm-openai:v0.11.0",
            ['--speculative_config={"model":"/models/draft","draft_tensor_parallel_size":1}'],
            id="with =",
        ),
        pytest.param("vllm/vllm-openai:v0.11.0", ["--speculative-config.model", "/models/draft"], id="dotted"),
    ],
)
def test_a_draft_model_is_counted_or_named(tmp_path: Path, image: str, options: list[str]) -> None:
    """Qwen2.5-32B on four A100-40: 61.0 / 4 = 15.3 GiB, and 14.2 / 4 of the draft at least."""
    model, draft = decoder(tmp_path / "m", QWEN25_32B), decoder(tmp_path / "d", QWEN25_7B)
    command = ["--model", "/models/q", "-tp", "4", "--max-model-len", "8192"]
    found, without = (
        told(tmp_path, [*command, *more], image=image, gpus=A100_40, model=model, more={"/models/draft": draft})
        for more in (options, [])
    )
    counted = found.minimum_mib is not None and found.minimum_gib - without.minimum_gib > 14.2 / 4
    assert counted or found.is_unknown or found.does_not_count("draft")
    assert not without.does_not_count("draft")


def test_a_draft_model_of_sglang(tmp_path: Path) -> None:
    """`--speculative-draft-model-path` (sglang/srt/server_args.py): a draft of 2.9 GiB."""
    model, draft = decoder(tmp_path / "m", LLAMA3_8B), decoder(tmp_path / "d", {**QWEN25_7B, "num_hidden_layers": 2})
    command = ["python3", "-m", "sglang.launch_server", "--model-path", "/models/q", "--context-length", "8192"]
    options = ["--speculative-algorithm", "EAGLE3", "--speculative-draft-model-path", "/models/draft"]
    found, without = (
        told(tmp_path, [*command, *more], image=SGLANG, gpus=h100(), model=model, more={"/models/draft": draft})
        for more in (options, [])
    )
    counted = found.minimum_mib is not None and found.minimum_gib - without.minimum_gib > 2.5
    assert counted or found.is_unknown or found.does_not_count("draft")


@pytest.mark.parametrize("options", [["-md", "/m/draft.gguf"], ["--model-draft", "/m/draft.gguf", "-ngld", "99"]])
def test_a_draft_model_of_llama_cpp(tmp_path: Path, options: list[str]) -> None:
    """4.6 GiB, 2 of cache, and 1.2 of the draft."""
    values = {"block_count": 32, "embedding_length": 4096, "attention.head_count": 32, "attention.head_count_kv": 8}
    layers_gguf(tmp_path / "m" / "q.gguf", "llama", values, gib=4.6, kind=Q4_K)
    layers_gguf(tmp_path / "m" / "draft.gguf", "llama", {**values, "block_count": 16}, gib=1.2, kind=Q8_0)
    command = ["-m", "/m/q.gguf", "-c", "16384", *options]
    found = told(tmp_path, command, image=LLAMA_CPP, gpus=rtx4090(), more={"/m": tmp_path / "m"})
    assert found.is_unknown or found.does_not_count("draft") or found.minimum_gib > 4.6 + 2 + 1.2 + 0.9


def test_drafts_of_the_model_itself_need_no_further_files(tmp_path: Path) -> None:
    """`ngram` looks drafts up in the prompt: nothing more is loaded."""
    model = decoder(tmp_path / "m", LLAMA3_8B)
    options = ["--speculative-config", json.dumps({"method": "ngram", "num_speculative_tokens": 4})]
    command = ["--model", "/models/q", "--max-model-len", "8192"]
    found, without = (told(tmp_path, [*command, *more], gpus=h100(), model=model) for more in (options, []))
    assert found.minimum_mib == without.minimum_mib
    assert not found.does_not_count("draft")


# --- LoRA -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ["--enable-lora", "--max-loras", "8", "--max-lora-rank", "64"],
        ["--enable_lora", "--lora-modules", "sql=/models/sql", "--max-lora-rank", "256"],
    ],
)
def test_buffers_of_adapters_are_counted_or_named(tmp_path: Path, options: list[str]) -> None:
    """vLLM keeps `max_loras` slots of the largest rank for every linear layer: of Llama-3-8B at rank 64 about
    32 layers × 64 × (the widths of its layers) × 2 bytes = 0.3 GiB each."""
    model = decoder(tmp_path / "m", LLAMA3_8B)
    command = ["--model", "/models/q", "--max-model-len", "8192"]
    found, without = (told(tmp_path, [*command, *more], gpus=h100(), model=model) for more in (options, []))
    counted = found.minimum_mib is not None and found.minimum_gib - without.minimum_gib > 0.3
    assert counted or found.is_unknown or found.does_not_count("lora")
    assert not without.does_not_count("lora")


# --- what is seen and heard -------------------------------------------------------------------------------------------

QWEN25_VL_3B = {
    "architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl", "num_hidden_layers": 36,
    "hidden_size": 2048, "num_attention_heads": 16, "num_key_value_heads": 2, "intermediate_size": 11008,
    "vocab_size": 151936, "max_position_embeddings": 128000, "torch_dtype": "bfloat16", "tie_word_embeddings": True,
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
    "vision_config": {"depth": 32, "hidden_size": 1280, "num_heads": 16, "intermediate_size": 3420},
}  # fmt: skip


@pytest.mark.parametrize(
    "options", [["--gpu-memory-utilization", "0.3"], ["--gpu-memory-utilization=0.3", "--max-num-seqs", "8"]]
)
def test_the_profile_run_of_a_vision_model_is_counted_or_named(tmp_path: Path, options: list[str]) -> None:
    """vllm#18124: Qwen2.5-VL-3B with 24 GiB of an A100: "No available memory for the cache blocks"."""
    model = decoder(tmp_path / "m", QWEN25_VL_3B, tied=True)
    found = told(
        tmp_path, ["--model", "/models/q", *options], image="vllm/vllm-openai:v0.8.5", gpus=a100(), model=model
    )
    named = any(found.does_not_count(word) for word in ("multimodal", "multi-modal", "images", "vision"))
    assert found.is_unknown or named or found.minimum_gib > 24


@pytest.mark.parametrize("options", [["--limit-mm-per-prompt", '{"image": 0, "video": 0}'], ["--language-model-only"]])
def test_without_images_there_is_no_such_run(tmp_path: Path, options: list[str]) -> None:
    """Then the figure holds (vllm/config/multimodal.py)."""
    model = decoder(tmp_path / "m", QWEN25_VL_3B, tied=True)
    found = told(tmp_path, ["--model", "/models/q", "--max-model-len", "32768", *options], gpus=rtx4090(), model=model)
    assert found.minimum_gib < 10
    assert not found.does_not_count("multimodal")


@pytest.mark.parametrize("options", [["--mmproj", "/m/mmproj-F16.gguf"], ["-mm", "/m/mmproj-F16.gguf"]])
def test_a_projector_of_llama_cpp_is_counted_or_named(tmp_path: Path, options: list[str]) -> None:
    """4.6 GiB, 1 of cache, and 1.3 of the projector (tools/mtmd/README.md: on the GPU unless --no-mmproj-offload)."""
    values = {"block_count": 32, "embedding_length": 4096, "attention.head_count": 32, "attention.head_count_kv": 8}
    layers_gguf(tmp_path / "m" / "q.gguf", "llama", values, gib=4.6, kind=Q4_K)
    layers_gguf(tmp_path / "m" / "mmproj-F16.gguf", "clip", {"block_count": 24}, gib=1.3, kind=Q8_0)
    command = ["-m", "/m/q.gguf", "-c", "8192", *options]
    found = told(tmp_path, command, image=LLAMA_CPP, gpus=rtx4090(), more={"/m": tmp_path / "m"})
    assert found.is_unknown or found.does_not_count("mmproj") or found.minimum_gib > 4.6 + 1 + 1.3 + 0.8
