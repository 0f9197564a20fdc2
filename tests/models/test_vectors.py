"""Published models: weights and cache to the byte, totals within five percent of the published figures."""

from math import prod
from pathlib import Path

import pytest

from gputui.domain.model import Architecture, ModelFiles
from gputui.domain.serving import Serving
from gputui.models.model_config import architecture_of
from gputui.models.model_files import read_model
from gputui.planning.backends.backend import Question
from gputui.planning.backends.llama_cpp import LLAMA_CPP
from gputui.planning.backends.sglang import default_fraction
from gputui.planning.backends.vllm import VLLM
from gputui.planning.needs.model_memory import kv_bytes, thumb_mib, weights_bytes
from tests.models.files import Shapes, decoder, write_gguf, write_model

GIB = 2**30

LLAMA_8B = {"layers": 32, "hidden": 4096, "intermediate": 14336, "heads": 32, "kv_heads": 8, "vocabulary": 128256}
LLAMA_70B = {"layers": 80, "hidden": 8192, "intermediate": 28672, "heads": 64, "kv_heads": 8, "vocabulary": 128256}
LLAMA_405B = {"layers": 126, "hidden": 16384, "intermediate": 53248, "heads": 128, "kv_heads": 8, "vocabulary": 128256}
QWEN_7B = {
    "layers": 28,
    "hidden": 3584,
    "intermediate": 18944,
    "heads": 28,
    "kv_heads": 4,
    "vocabulary": 152064,
    "biases": True,
}
QWEN_72B = {
    "layers": 80,
    "hidden": 8192,
    "intermediate": 29568,
    "heads": 64,
    "kv_heads": 8,
    "vocabulary": 152064,
    "biases": True,
}
QWEN3_32B = {
    "layers": 64,
    "hidden": 5120,
    "intermediate": 25600,
    "heads": 64,
    "kv_heads": 8,
    "vocabulary": 151936,
    "head_dim": 128,
    "qk_norms": True,
}
QWEN3_30B = {
    "layers": 48,
    "hidden": 2048,
    "intermediate": 768,
    "heads": 32,
    "kv_heads": 4,
    "vocabulary": 151936,
    "head_dim": 128,
    "qk_norms": True,
    "experts": 128,
}
MISTRAL_7B = {"layers": 32, "hidden": 4096, "intermediate": 14336, "heads": 32, "kv_heads": 8, "vocabulary": 32032}
MIXTRAL = {
    "layers": 32,
    "hidden": 4096,
    "intermediate": 14336,
    "heads": 32,
    "kv_heads": 8,
    "vocabulary": 32000,
    "experts": 8,
}


def config_of(shape: dict[str, int | bool], **more: object) -> dict[str, object]:
    config: dict[str, object] = {
        "num_hidden_layers": shape["layers"],
        "num_attention_heads": shape["heads"],
        "num_key_value_heads": shape["kv_heads"],
        "hidden_size": shape["hidden"],
        "intermediate_size": shape["intermediate"],
        "vocab_size": shape["vocabulary"],
        "max_position_embeddings": 131072,
        "torch_dtype": "bfloat16",
    }
    if "head_dim" in shape:
        config["head_dim"] = shape["head_dim"]
    return config | more


def model_on_disk(folder: Path, shape: dict[str, int | bool], dtype: str = "BF16") -> ModelFiles:
    shapes: Shapes = decoder(**shape)  # type: ignore[arg-type]
    write_model(folder, config_of(shape), [(name, dtype, dims) for name, dims in shapes])
    files = read_model(folder)
    assert files.problems == ()
    return files


# Parameters: meta-llama/llama-models sku_list.py (3.1 8B, 70B, 405B) and the models' cards.
@pytest.mark.parametrize(
    ("shape", "parameters"),
    [
        pytest.param(LLAMA_8B, 8_030_261_248, id="Llama-3.1-8B"),
        pytest.param(LLAMA_70B, 70_553_706_496, id="Llama-3.1-70B"),
        pytest.param(LLAMA_405B, 405_853_388_800, id="Llama-3.1-405B"),
        pytest.param({**LLAMA_405B, "kv_heads": 16}, 410_081_247_232, id="Llama-3.1-405B with 16 kv heads"),
        pytest.param(QWEN_7B, 7_615_616_512, id="Qwen2.5-7B"),
        pytest.param(QWEN_72B, 72_706_203_648, id="Qwen2.5-72B"),
    ],
)
def test_weights_are_counted_to_the_byte(tmp_path: Path, shape: dict[str, int | bool], parameters: int) -> None:
    files = model_on_disk(tmp_path / "model", shape)
    assert (files.parameters, files.weights_bytes) == (parameters, 2 * parameters)
    assert files.has_tokenizer


@pytest.mark.parametrize(
    ("shape", "billions"),
    [
        pytest.param(QWEN3_32B, 32.8, id="Qwen3-32B"),
        pytest.param(QWEN3_30B, 30.5, id="Qwen3-30B-A3B, all experts"),
        pytest.param(MISTRAL_7B, 7.24, id="Mistral-7B"),
        pytest.param(MIXTRAL, 46.70, id="Mixtral-8x7B"),
    ],
)
def test_weights_agree_with_the_published_count(shape: dict[str, int | bool], billions: float) -> None:
    shapes: Shapes = decoder(**shape)  # type: ignore[arg-type]
    assert sum(prod(dims) for _, dims in shapes) == pytest.approx(billions * 1e9, rel=0.005)


@pytest.mark.parametrize(
    ("config", "a_token"),
    [
        pytest.param(config_of(LLAMA_8B), 131_072, id="Llama-3.1-8B"),
        pytest.param(config_of(LLAMA_70B), 327_680, id="Llama-3.1-70B"),
        pytest.param(config_of(LLAMA_405B), 516_096, id="Llama-3.1-405B"),
        pytest.param(config_of({**LLAMA_405B, "kv_heads": 16}), 1_032_192, id="Llama-3.1-405B with 16 kv heads"),
        pytest.param(config_of(QWEN_7B), 57_344, id="Qwen2.5-7B"),
        pytest.param(config_of(QWEN_72B), 327_680, id="Qwen2.5-72B"),
        pytest.param(config_of(QWEN3_32B), 262_144, id="Qwen3-32B: head_dim 128, not 5120/64"),
        pytest.param(config_of(QWEN3_30B), 98_304, id="Qwen3-30B-A3B"),
        pytest.param(config_of(MISTRAL_7B), 131_072, id="Mistral-7B"),
        pytest.param(config_of(MIXTRAL), 131_072, id="Mixtral-8x7B"),
        pytest.param(
            {
                "num_hidden_layers": 61, "num_attention_heads": 128, "num_key_value_heads": 128, "hidden_size": 7168,
                "kv_lora_rank": 512, "qk_rope_head_dim": 64,
            },
            70_272,
            id="DeepSeek-R1, latent attention",
        ),
        pytest.param(
            {
                "num_hidden_layers": 36, "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64,
                "hidden_size": 2880, "sliding_window": 128, "layer_types": ["sliding_attention", "full_attention"] * 18,
            },
            73_728,
            id="gpt-oss-120b, within the window",
        ),
        pytest.param(
            {
                "num_hidden_layers": 24, "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64,
                "hidden_size": 2880, "sliding_window": 128, "layer_types": ["sliding_attention", "full_attention"] * 12,
            },
            49_152,
            id="gpt-oss-20b, within the window",
        ),
    ],
)  # fmt: skip
def test_cache_of_a_token_is_counted_to_the_byte(config: dict[str, object], a_token: int) -> None:
    model = architecture_of(config)
    assert kv_bytes(model, 1) == a_token
    assert kv_bytes(model, 100) == 100 * a_token


def test_layers_with_a_window_keep_only_its_tokens() -> None:
    model = architecture_of(
        {
            "num_hidden_layers": 36, "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64,
            "sliding_window": 128, "layer_types": ["sliding_attention", "full_attention"] * 18,
        }
    )  # fmt: skip
    each = 2 * 8 * 64 * 2
    assert kv_bytes(model, 131_072) == 18 * 131_072 * each + 18 * 128 * each


def test_405b_with_16_kv_heads_takes_126_gib_at_its_full_context() -> None:
    """gguf-parser's README: 126 GiB."""
    assert kv_bytes(architecture_of(config_of({**LLAMA_405B, "kv_heads": 16})), 131_072) == 126 * GIB


def test_minimax_m2_cache_in_fp8() -> None:
    """hf-mem 0.5, README: 24,964,497,408 bytes at 196,608 tokens."""
    model = Architecture(layers=62, attention_layers=62, kv_heads=8, head_dim=128)
    assert kv_bytes(model, 196_608, 8.0) == 24_964_497_408
    assert kv_bytes(model, 1, 8.0) == 126_976


def test_llama3_70b_at_8192_tokens() -> None:
    """gpustack's fixture llama3_70b_full_offload.json: 2,684,354,560 bytes."""
    assert kv_bytes(architecture_of(config_of(LLAMA_70B)), 8192) == 2_684_354_560


@pytest.mark.parametrize(("tensor", "kib"), [(1, 320), (2, 160), (4, 80), (8, 40), (16, 40)])
def test_kv_heads_are_replicated_beyond_their_number(tensor: int, kib: int) -> None:
    assert kv_bytes(architecture_of(config_of(LLAMA_70B)), 1, tensor=tensor) == kib * 1024


@pytest.mark.parametrize(("tensor", "kib"), [(1, 96), (2, 48), (4, 24), (8, 24)])
def test_kv_heads_of_qwen3_30b(tensor: int, kib: int) -> None:
    assert kv_bytes(architecture_of(config_of(QWEN3_30B)), 1, tensor=tensor) == kib * 1024


# --- GGUF: sizes from llama.cpp tools/quantize/README.md ------------------------------------------------------------

F32, F16, Q8_0, Q4_K, Q6_K, Q4_0, I8 = 0, 1, 8, 12, 14, 2, 24


def llama_gguf(
    shape: dict[str, int | bool], kinds: dict[str, int], more_bits: int | None = None
) -> list[tuple[str, int, tuple[int, ...]]]:
    """A Llama as llama.cpp writes it. `more_bits` is the type of attn_v and ffn_down in the layers that `_M` mixes keep
    better (llama-quant.cpp, `use_more_bits`)."""
    layers = int(shape["layers"])
    tensors = []
    for name, dims in decoder(**shape):  # type: ignore[arg-type]
        kind = F32 if len(dims) == 1 else kinds["other"]
        if name == "lm_head.weight":
            kind = kinds.get("output", kind)
        elif more_bits is not None and ("v_proj" in name or "down_proj" in name):
            number = int(name.split(".")[2])
            if number < layers // 8 or number >= 7 * layers // 8 or (number - layers // 8) % 3 == 2:
                kind = more_bits
        tensors.append((name, kind, tuple(reversed(dims))))
    return tensors


LLAMA_VALUES: dict[str, object] = {
    "general.architecture": "llama",
    "llama.block_count": 32,
    "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": 8,
    "llama.embedding_length": 4096,
    "llama.feed_forward_length": 14336,
    "llama.context_length": 131072,
    "tokenizer.ggml.tokens": ["<s>", "</s>", "a"],
}


@pytest.mark.parametrize(
    ("kinds", "more_bits", "gib"),
    [
        pytest.param({"other": F16}, None, 14.96, id="F16"),
        pytest.param({"other": Q8_0}, None, 7.95, id="Q8_0"),
        pytest.param({"other": Q4_K, "output": Q6_K}, Q6_K, 4.58, id="Q4_K_M"),
    ],
)
def test_gguf_weights_of_llama_8b(tmp_path: Path, kinds: dict[str, int], more_bits: int | None, gib: float) -> None:
    path = tmp_path / "model.gguf"
    write_gguf(path, LLAMA_VALUES, llama_gguf(LLAMA_8B, kinds, more_bits))
    files = read_model(path)
    assert files.weights_bytes is not None
    assert files.weights_bytes / GIB == pytest.approx(gib, abs=0.006)
    assert files.architecture is not None
    assert kv_bytes(files.architecture, 1) == 131_072
    assert files.has_tokenizer


def published_gguf(size: int, **architecture: int) -> ModelFiles:
    return ModelFiles(path="", weights_bytes=size, has_weights=True, architecture=Architecture(**architecture))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("files", "context", "published_gib"),
    [
        pytest.param(
            published_gguf(int(4.78 * GIB), layers=32, attention_layers=32, heads=32, kv_heads=8, head_dim=128),
            32768, 11.16, id="Hermes-2-Pro-Mistral-7B Q5_K_M",
        ),
        pytest.param(
            published_gguf(int(59.92 * GIB), layers=80, attention_layers=80, heads=64, kv_heads=8, head_dim=128),
            32768, 73.47, id="Qwen2-72B Q6_K",
        ),
        pytest.param(
            published_gguf(21 * GIB, layers=32, attention_layers=32, heads=32, kv_heads=8, head_dim=128),
            32768, 27.41, id="Mixtral-8x7B Q3_K_M",
        ),
        pytest.param(
            published_gguf(39_969_745_376, layers=80, attention_layers=80, heads=64, kv_heads=8, head_dim=128),
            8192, 43_509_097_472 / GIB, id="llama3:70b Q4_0 (gpustack's fixture)",
        ),
    ],
)  # fmt: skip
def test_llama_cpp_without_flash_attention_is_within_five_percent(
    files: ModelFiles, context: int, published_gib: float
) -> None:
    """gguf-parser's README."""
    how = Serving(context=context, gpu_layers=1000, flash_attention=False, micro_batch=512)
    found = LLAMA_CPP.minimum_mib(Question(files=files, serving=how, gpus=1, total_mib=81920))
    assert found is not None
    assert found / 1024 == pytest.approx(published_gib, rel=0.05)


# --- 70B in bf16 on A100-40 ----------------------------------------------------------------------------------------


def seventy_b() -> ModelFiles:
    return ModelFiles(
        path="", weights_bytes=141_107_412_992, has_weights=True, architecture=architecture_of(config_of(LLAMA_70B))
    )


@pytest.mark.parametrize(
    ("tensor", "context", "fits"),
    [(1, 8192, False), (2, 8192, False), (4, 8192, True), (4, 131_072, False), (8, 131_072, True)],
)
def test_70b_on_40_gb_cards(tensor: int, context: int, fits: bool) -> None:
    """The seed's table (TP 1 and 2 run out of memory, 4 works), and the cache that it leaves out: 10 GiB a GPU at the
    full context with 4 GPUs."""
    question = Question(
        files=seventy_b(), serving=Serving(tensor=tensor, world=tensor, context=context, sequences=256),
        gpus=tensor, total_mib=40960,
    )  # fmt: skip
    need = VLLM.minimum_mib(question)
    assert need is not None
    assert (need <= 0.9 * 40960) is fits


def test_70b_weights_on_four_gpus() -> None:
    four = weights_bytes(seventy_b(), tensor=4)
    assert four is not None
    assert four / GIB == pytest.approx(32.85, abs=0.01)


@pytest.mark.parametrize(
    ("total", "tensor", "fraction"),
    [
        (24564, 1, 0.847), (24564, 4, 0.827), (40960, 4, 0.817), (49140, 1, 0.861),
        (81559, 1, 0.835), (81559, 8, 0.818), (143771, 1, 0.907),
    ],
)  # fmt: skip
def test_sglang_chooses_this_fraction_itself(total: int, tensor: int, fraction: float) -> None:
    assert default_fraction(total, tensor) == pytest.approx(fraction, abs=0.0006)


@pytest.mark.parametrize(("billions", "gib"), [(0.494, 3.1), (7.61, 19.0), (72.7, 164.5)])
def test_the_rule_of_thumb(billions: float, gib: float) -> None:
    """GPUStack, "Compatibility check"."""
    assert thumb_mib(int(billions * 2e9)) / 1024 == pytest.approx(gib, abs=0.06)
