"""llama.cpp's server: allocates weights and the whole context's cache at startup (tools/server/README.md)."""

from collections.abc import Mapping

from gputui.domain.serving import Serving
from gputui.domain.text import real_number, whole_number
from gputui.planning.backends.backend import Backend, Question, Reader
from gputui.planning.backends.llama_layout import EXPERTS, HOST, context_of, parts_bytes, readable_patterns, used_gpus
from gputui.planning.command_options import CommandLine, Options, read_options
from gputui.planning.needs.model_memory import MIB, up

CONTEXT_MIB = 457
"""What Ollama reserves for the CUDA context of a llama.cpp runner."""
SMALLEST_BUFFER_MIB = 512
ALL_LAYERS = 1_000_000
MOST_GPUS = 64

_ALIASES = {
    "--model": ("-m",),
    "--ctx-size": ("-c",),
    "--n-gpu-layers": ("-ngl", "--gpu-layers"),
    "--tensor-split": ("-ts",),
    "--split-mode": ("-sm",),
    "--main-gpu": ("-mg",),
    "--device": ("-dev",),
    "--ubatch-size": ("-ub",),
    "--cache-type-k": ("-ctk",),
    "--cache-type-v": ("-ctv",),
    "--flash-attn": ("-fa",),
    "--parallel": ("-np",),
    "--kv-unified": ("-kvu",),
    "--swa-full": (),
    "--cpu-moe": ("-cmoe",),
    "--n-cpu-moe": ("-ncmoe",),
    "--override-tensor": ("-ot",),
    "--no-kv-offload": ("-nkvo",),
    "--mmproj": ("-mm",),
    "--no-mmproj-offload": (),
    "--model-draft": ("-md", "--spec-draft-model"),
    "--hf-repo-draft": ("-hfd",),
    "--mmproj-url": ("-mmu",),
    "--lora": (),
    "--lora-scaled": (),
}
_VARIABLES = {
    "--model": ("LLAMA_ARG_MODEL",),
    "--ctx-size": ("LLAMA_ARG_CTX_SIZE",),
    "--n-gpu-layers": ("LLAMA_ARG_N_GPU_LAYERS",),
    "--tensor-split": ("LLAMA_ARG_TENSOR_SPLIT",),
    "--split-mode": ("LLAMA_ARG_SPLIT_MODE",),
    "--main-gpu": ("LLAMA_ARG_MAIN_GPU",),
    "--device": ("LLAMA_ARG_DEVICE",),
    "--ubatch-size": ("LLAMA_ARG_UBATCH",),
    "--cache-type-k": ("LLAMA_ARG_CACHE_TYPE_K",),
    "--cache-type-v": ("LLAMA_ARG_CACHE_TYPE_V",),
    "--flash-attn": ("LLAMA_ARG_FLASH_ATTN",),
    "--parallel": ("LLAMA_ARG_N_PARALLEL",),
    "--swa-full": ("LLAMA_ARG_SWA_FULL",),
    "--cpu-moe": ("LLAMA_ARG_CPU_MOE",),
    "--n-cpu-moe": ("LLAMA_ARG_N_CPU_MOE",),
    "--override-tensor": ("LLAMA_ARG_OVERRIDE_TENSOR",),
    "--no-kv-offload": ("LLAMA_ARG_NO_KV_OFFLOAD",),
    "--mmproj": ("LLAMA_ARG_MMPROJ",),
    "--model-draft": ("LLAMA_ARG_MODEL_DRAFT",),
}


def read_serving(line: CommandLine, environment: Mapping[str, str], gpus: int) -> Serving:
    """The server's options. It uses every GPU it sees by default not to split; GPUs of unequal size are fine."""
    options = read_options(line, environment, _ALIASES, _VARIABLES, repeated=("--override-tensor",))
    read = Reader.of(options)
    layers_text = options.text("--n-gpu-layers")
    layers: int | None = ALL_LAYERS
    if layers_text not in (None, "auto", "all") or not options.known("--n-gpu-layers"):
        layers = read.number("--n-gpu-layers")
        layers = ALL_LAYERS if layers is not None and layers < 0 else layers
    mode = (options.text("--split-mode") or "layer").lower()
    used = _devices(read, mode)
    # Shares beyond the number of GPUs are ignored.
    split = _normalised(_split(read)[: gpus or None])
    sequences = read.number("--parallel", 1)
    return Serving(
        world=len(used) if used is not None else len(split) or None,
        sequences=max(1, sequences or 1),
        unified=options.on("--kv-unified"),
        used=used,
        main_gpu=whole_number(options.text("--main-gpu"), least=0, most=MOST_GPUS) or 0,
        by_rows=mode in ("row", "tensor"),
        context=read.number("--ctx-size"),
        micro_batch=read.number("--ubatch-size", 512),
        gpu_layers=layers,
        split=split,
        placed=_tensor_overrides(read),
        kv_dtype=read.cache_type("--cache-type-k"),
        kv_dtype_v=read.cache_type("--cache-type-v"),
        cache_on_host=options.on("--no-kv-offload"),
        whole_windows=options.on("--swa-full"),
        flash_attention=(options.text("--flash-attn") or "auto").lower() not in ("off", "0", "false", "disabled"),
        beside=_beside(options),
        unread=tuple(read.unread),
        invalid=tuple(read.invalid),
    )


def _devices(read: Reader, mode: str) -> tuple[int, ...] | None:
    """The GPUs in use, by position: `--device`, or only the main one without splitting; None for all."""
    device_text = read.text("--device")
    if device_text is not None:
        places = [
            whole_number(part.strip().removeprefix("CUDA"), least=0, most=MOST_GPUS) for part in device_text.split(",")
        ]
        if device_text.lower() == "none" or None in places:
            read.unread.append("--device")
            return None
        devices = tuple(place for place in places if place is not None)
        return devices[:1] if mode == "none" else devices
    if mode != "none":
        return None
    main = read.number("--main-gpu", 0)
    return (main,) if main is not None and 0 <= main <= MOST_GPUS else None


def _tensor_overrides(read: Reader) -> tuple[tuple[str, str], ...]:
    """Tensor patterns and their buffers, in order of precedence."""
    placements: list[tuple[str, str]] = []
    for part in (read.text("--override-tensor") or "").split(","):
        pattern, _, buffer = part.rpartition("=")
        if pattern:
            placements.append((pattern, buffer))
    if not readable_patterns(placements):
        read.unread.append("--override-tensor")
        placements = []
    if read.options.on("--cpu-moe"):
        placements.append((EXPERTS, HOST))
    host_layers = read.number("--n-cpu-moe", 0)
    if host_layers:
        layers = "|".join(str(layer) for layer in range(min(host_layers, 200)))
        placements.append((rf"blk\.({layers}){EXPERTS}", HOST))
    return tuple(placements)


def _beside(options: Options) -> tuple[str, ...]:
    extras = ["the draft model"] if options.text("--model-draft") or options.text("--hf-repo-draft") else []
    if options.text("--lora") or options.text("--lora-scaled"):
        extras.append("LoRA adapters")
    projector = options.text("--mmproj") or options.text("--mmproj-url")
    if projector and not options.on("--no-mmproj-offload"):
        extras.append("the projector of pictures (mmproj)")
    return tuple(extras)


def _split(read: Reader) -> tuple[float, ...]:
    text = read.text("--tensor-split")
    if text is None:
        return ()
    parts = [real_number(part) for part in text.replace("/", ",").split(",")]
    shares = [part for part in parts if part is not None and part >= 0]
    total = sum(shares)
    if len(shares) != len(parts) or not 0 < total < float("inf"):
        read.invalid.append(f"--tensor-split {text[:40]} is no list of shares")
        return ()
    return tuple(shares)


def _normalised(shares: tuple[float, ...]) -> tuple[float, ...]:
    total = sum(shares)
    return tuple(share / total for share in shares) if total > 0 else ()


def buffer_mib(heads: int | None, tokens: int, micro_batch: int, *, flash_attention: bool) -> int:
    """The compute buffer. Without flash attention it holds all scores of one micro-batch: heads × tokens × micro-batch
    × 4 bytes; with it, about half a GiB."""
    if flash_attention or heads is None:
        return SMALLEST_BUFFER_MIB
    return max(SMALLEST_BUFFER_MIB, heads * tokens * micro_batch * 4 // MIB)


def gpu_parts_mib(question: Question) -> tuple[int, ...] | None:
    """MiB on each GPU; 0 on unused ones, None if the files do not tell enough."""
    serving, model = question.serving, question.files.architecture
    if {"--override-tensor", "--device"} & set(serving.unread):
        return None
    gpus = max(1, question.gpus)
    gpu_bytes = parts_bytes(question.files, serving, gpus, question.totals_mib)
    if gpu_bytes is None:
        return None
    buffer = buffer_mib(
        model.heads if model else None,
        context_of(model, serving),
        serving.micro_batch or 512,
        flash_attention=serving.flash_attention,
    )
    used = used_gpus(serving, gpus)
    return tuple(up(size) + buffer + CONTEXT_MIB if gpu in used else 0 for gpu, size in enumerate(gpu_bytes))


def minimum_mib(question: Question) -> int | None:
    """The largest share of any GPU, with its buffer and context."""
    parts = gpu_parts_mib(question)
    return None if parts is None else max(parts)


def parts(question: Question) -> tuple[float, ...]:
    """Each GPU's share of the total."""
    parts_mib = gpu_parts_mib(question)
    if parts_mib is None or not sum(parts_mib) or len(set(parts_mib)) == 1:
        return ()
    return tuple(part / sum(parts_mib) for part in parts_mib)


LLAMA_CPP = Backend(
    name="llama_cpp",
    order=60,
    marks=("llama.cpp", "llama-cpp", "llama-server", "llama_cpp"),
    serving=read_serving,
    minimum_mib=minimum_mib,
    parts=parts,
    images=r"llama[.-]cpp|llama-server",
    official_images=r"(^|/)(ggml-org|ggerganov)/",
    health=(8080, "/health"),
    loads_model=True,
    reports_memory=True,
    limits_context=False,
    mixes_gpus=True,
    context_flag="--ctx-size",
)
