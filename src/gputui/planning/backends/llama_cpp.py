"""llama.cpp's server: static, it takes weights and the whole context's cache at its start (tools/server/README.md)."""

from collections.abc import Mapping

from gputui.domain.outside import real_number
from gputui.domain.serving import Serving
from gputui.planning.arguments import CommandLine, read_options
from gputui.planning.backends.backend import Backend, Question, Reader
from gputui.planning.model_memory import MIB, kv_bits, kv_bytes, up

CONTEXT_MIB = 457
"""What Ollama reserves for the CUDA context of a llama.cpp runner."""
SMALLEST_BUFFER_MIB = 512
DEFAULT_CONTEXT = 4096
"""Without `-c` newer servers take what fits; this much is what they should have at least."""
ALL_LAYERS = 1_000_000

_ALIASES = {
    "--model": ("-m",),
    "--ctx-size": ("-c",),
    "--n-gpu-layers": ("-ngl", "--gpu-layers"),
    "--tensor-split": ("-ts",),
    "--split-mode": ("-sm",),
    "--main-gpu": ("-mg",),
    "--ubatch-size": ("-ub",),
    "--cache-type-k": ("-ctk",),
    "--cache-type-v": ("-ctv",),
    "--flash-attn": ("-fa",),
    "--parallel": ("-np",),
}
_VARIABLES = {
    "--model": ("LLAMA_ARG_MODEL",),
    "--ctx-size": ("LLAMA_ARG_CTX_SIZE",),
    "--n-gpu-layers": ("LLAMA_ARG_N_GPU_LAYERS",),
    "--tensor-split": ("LLAMA_ARG_TENSOR_SPLIT",),
    "--split-mode": ("LLAMA_ARG_SPLIT_MODE",),
    "--ubatch-size": ("LLAMA_ARG_UBATCH",),
    "--cache-type-k": ("LLAMA_ARG_CACHE_TYPE_K",),
    "--cache-type-v": ("LLAMA_ARG_CACHE_TYPE_V",),
    "--flash-attn": ("LLAMA_ARG_FLASH_ATTN",),
}


def serving(line: CommandLine, environment: Mapping[str, str], gpus: int) -> Serving:
    """What the options say. It takes every GPU that it sees, unless it is told not to split; uneven ones are fine."""
    del gpus
    options = read_options(line, environment, _ALIASES, _VARIABLES)
    read = Reader.of(options)
    layers_text = options.text("--n-gpu-layers")
    layers: int | None = ALL_LAYERS
    if layers_text not in (None, "auto", "all") or not options.known("--n-gpu-layers"):
        layers = read.number("--n-gpu-layers")
        layers = ALL_LAYERS if layers is not None and layers < 0 else layers
    split = _split(read)
    single = (options.text("--split-mode") or "").lower() == "none"
    return Serving(
        world=1 if single else len(split) or None,
        context=read.number("--ctx-size"),
        micro_batch=read.number("--ubatch-size", 512),
        gpu_layers=layers,
        split=split,
        kv_dtype=read.text("--cache-type-k"),
        flash_attention=(options.text("--flash-attn") or "auto").lower() not in ("off", "0", "false", "disabled"),
        unread=tuple(read.unread),
        invalid=tuple(read.invalid),
    )


def _split(read: Reader) -> tuple[float, ...]:
    text = read.text("--tensor-split")
    if text is None:
        return ()
    parts = [real_number(part) for part in text.replace("/", ",").split(",")]
    shares = [part for part in parts if part is not None and part >= 0]
    whole = sum(shares)
    if len(shares) != len(parts) or not 0 < whole < float("inf"):
        read.invalid.append(f"--tensor-split {text[:40]} is no list of shares")
        return ()
    return tuple(share / whole for share in shares)


def buffer_mib(heads: int | None, tokens: int, micro_batch: int, *, flash_attention: bool) -> int:
    """The compute buffer. Without flash attention the scores of one micro-batch are held whole: heads × tokens ×
    micro-batch × 4 bytes; with it, about half a GiB."""
    if flash_attention or heads is None:
        return SMALLEST_BUFFER_MIB
    return max(SMALLEST_BUFFER_MIB, heads * tokens * micro_batch * 4 // MIB)


def whole_mib(question: Question) -> int | None:
    """Weights and cache of all GPUs together, as far as the layers are on GPUs."""
    how, model = question.serving, question.files.architecture
    if question.files.weights_bytes is None or how.gpu_layers is None:
        return None
    share = 1.0
    if model is not None and model.layers:
        share = min(1.0, how.gpu_layers / (model.layers + 1))
    cache = 0
    if model is not None:
        tokens = (model.context or DEFAULT_CONTEXT) if how.context == 0 else how.context or DEFAULT_CONTEXT
        bits = kv_bits(how.kv_dtype, None)
        if bits is not None:
            cache = kv_bytes(model, tokens, bits) or 0
    return up(int((question.files.weights_bytes + cache) * share))


def minimum_mib(question: Question) -> int | None:
    """The largest part that one GPU gets, with its buffer and context."""
    whole = whole_mib(question)
    if whole is None:
        return None
    how, model = question.serving, question.files.architecture
    gpus = how.world or max(1, question.gpus)
    largest = max(how.split) if how.split else 1 / gpus
    context = (model.context if model else None) if how.context == 0 else how.context
    buffer = buffer_mib(
        model.heads if model else None,
        context or DEFAULT_CONTEXT,
        how.micro_batch or 512,
        flash_attention=how.flash_attention,
    )
    return int(whole * largest) + buffer + CONTEXT_MIB


LLAMA_CPP = Backend(
    name="llama_cpp",
    marks=("llama.cpp", "llama-cpp", "llama-server", "llama_cpp"),
    serving=serving,
    minimum_mib=minimum_mib,
    context_flag="--ctx-size",
)
