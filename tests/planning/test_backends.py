"""Each backend's minimum and claim, with the arithmetic written out (all in MiB)."""

import pytest

from gputui.domain.model import Architecture, ModelFiles
from gputui.domain.service import ClaimRule
from gputui.domain.serving import Serving
from gputui.planning.backends.backend import Backend, Question
from gputui.planning.backends.llama_cpp import LLAMA_CPP
from gputui.planning.backends.sglang import SGLANG
from gputui.planning.backends.tensorrt_llm import TENSORRT_LLM
from gputui.planning.backends.tgi import TGI
from gputui.planning.backends.vllm import VLLM
from gputui.planning.command_options import CommandLine
from gputui.planning.needs.model_memory import kv_bytes, weights_bytes

MIB = 2**20

# 10 layers; per layer and token 2 × 4 heads × 64 × 2 bytes = 1024 bytes; a vocabulary and a width that make
# activations small, so that the smallest allowance of 256 MiB holds.
MODEL = Architecture(
    layers=10, attention_layers=10, heads=8, kv_heads=4, head_dim=64, hidden=512, intermediate=1024, vocabulary=1000,
    context=65_536, dtype="bfloat16",
)  # fmt: skip
FILES = ModelFiles(
    path="", architecture=MODEL, weights_bytes=11_000 * MIB, embedding_bytes=1000 * MIB, has_weights=True
)
CACHE = 10 * 1024 * 65_536 // MIB  # 640
CONTEXT, TOGETHER, ACTIVATION = 500, 512, 256


def minimum(backend: Backend, *, gpus: int = 1, files: ModelFiles = FILES, **serving: object) -> int | None:
    how = Serving(**serving)  # type: ignore[arg-type]
    return backend.minimum_mib(Question(files=files, serving=how, gpus=gpus, total_mib=40_960))


def test_vllm_on_one_gpu() -> None:
    assert minimum(VLLM) == 11_000 + ACTIVATION + CONTEXT + CACHE


def test_vllm_with_tensor_parallelism() -> None:
    assert minimum(VLLM, tensor=4) == 11_000 // 4 + ACTIVATION + CONTEXT + TOGETHER + CACHE // 4
    assert minimum(VLLM, tensor=8) == 11_000 // 8 + ACTIVATION + CONTEXT + TOGETHER + CACHE // 4, "4 heads, each twice"


def test_vllm_with_pipeline_parallelism() -> None:
    """Four stages of 3, 3, 2, 2 layers: the fullest has three tenths of the layers, and an embedding at most."""
    assert minimum(VLLM, pipeline=4) == 10_000 * 3 // 10 + 1000 + ACTIVATION + CONTEXT + TOGETHER + CACHE * 3 // 10


def test_vllm_with_a_shorter_context_and_a_smaller_cache() -> None:
    assert minimum(VLLM, context=8192) == 11_000 + ACTIVATION + CONTEXT + CACHE // 8
    assert minimum(VLLM, kv_dtype="fp8") == 11_000 + ACTIVATION + CONTEXT + CACHE // 2
    assert minimum(VLLM, kv_bytes=2048 * MIB) == 11_000 + ACTIVATION + CONTEXT + 2048


def test_sglang_needs_so_much_that_its_fraction_holds_weights_and_a_short_request() -> None:
    static = 11_000 + CACHE // 8
    assert minimum(SGLANG, fraction=0.5) == static * 2 + 1
    beside = CONTEXT + int(1.5 * 4096) + 2 * 32
    assert minimum(SGLANG, fraction=0.99) == static + beside


def test_tensorrt_llm_needs_so_much_that_its_fraction_of_the_rest_holds_a_request() -> None:
    assert minimum(TENSORRT_LLM, fraction=0.5) == 11_000 + ACTIVATION + CONTEXT + CACHE * 2
    assert minimum(TENSORRT_LLM, fraction=0.5, tensor=2) == 5500 + ACTIVATION + CONTEXT + TOGETHER + CACHE // 2 * 2


def test_tgi() -> None:
    assert minimum(TGI, context=8192) == 11_000 + ACTIVATION + CONTEXT + CACHE // 8
    assert minimum(TGI, context=8192, tensor=2) == 5500 + ACTIVATION + CONTEXT + TOGETHER + CACHE // 16


def test_llama_cpp_splits_weights_and_cache_over_its_gpus() -> None:
    beside = 512 + 457
    assert minimum(LLAMA_CPP, gpu_layers=99, context=0) == 11_000 + CACHE + beside
    assert minimum(LLAMA_CPP, gpu_layers=99, context=8192) == 11_000 + CACHE // 8 + beside
    # 10 layers and the output: they go whole, 6 and 5 of them, or 9 and 2.
    assert minimum(LLAMA_CPP, gpu_layers=99, context=0, gpus=2) == 6000 + CACHE * 6 // 10 + beside
    split = minimum(LLAMA_CPP, gpu_layers=99, context=0, gpus=2, world=2, split=(0.75, 0.25))
    assert split == 9000 + CACHE * 9 // 10 + beside


def test_llama_cpp_with_some_layers_on_the_gpu_only() -> None:
    """4 of 10 layers, and the output."""
    assert minimum(LLAMA_CPP, gpu_layers=5, context=8192) == 5000 + CACHE // 8 * 4 // 10 + 512 + 457


@pytest.mark.parametrize("backend", [VLLM, SGLANG, TENSORRT_LLM, TGI, LLAMA_CPP])
def test_without_weights_nothing_is_known(backend: Backend) -> None:
    assert minimum(backend, files=ModelFiles(path="", architecture=MODEL), gpu_layers=99) is None


def test_claims() -> None:
    assert VLLM.claim is not None
    assert VLLM.claim(Serving(fraction=0.5), 40_960, 9000) == ClaimRule("total", 0.5)
    assert VLLM.claim(Serving(fraction=0.5, kv_bytes=5), 40_960, 9000) is None
    assert TGI.claim is not None
    assert TGI.claim(TGI.serving(command(), {}, 1), 40_960, 9000) == ClaimRule("total", 1.0)
    assert TENSORRT_LLM.claim is not None
    assert TENSORRT_LLM.claim(TENSORRT_LLM.serving(command(), {}, 1), 40_960, 9000) == ClaimRule("rest", 0.9, 9000)
    assert SGLANG.claim is not None
    beside = CONTEXT + int(1.5 * 4096) + 2 * 32
    assert SGLANG.claim(Serving(fraction=0.6), 40_960, 9000) == ClaimRule("free", 0.6, beside)


def command(*words: str) -> CommandLine:
    return CommandLine(words)


def test_latent_attention_is_the_same_on_every_gpu() -> None:
    """Nothing is divided by the tensor-parallel size; layers are, by the pipeline's stages."""
    latent = Architecture(layers=61, attention_layers=61, kv_lora_rank=512, rope_head_dim=64, heads=128, kv_heads=128)
    assert kv_bytes(latent, 1, tensor=8) == kv_bytes(latent, 1) == 70_272
    assert kv_bytes(latent, 1, pipeline=2) == 31 * 576 * 2


def test_windows_with_pipeline_stages() -> None:
    """12 layers, 6 of them with a window of 100: of two stages each has 6 layers, 3 with a window."""
    model = Architecture(layers=12, attention_layers=12, kv_heads=1, head_dim=1, window=100, window_layers=6)
    assert kv_bytes(model, 1000, pipeline=2) == (3 * 1000 + 3 * 100) * 4


def test_weights_of_stages_that_are_not_equal() -> None:
    assert weights_bytes(FILES, pipeline=3) == 10_000 * MIB * 4 // 10 + 1000 * MIB
    assert weights_bytes(FILES, tensor=2, pipeline=3) == (10_000 * MIB * 4 // 10 + 1000 * MIB) // 2
