"""vLLM: takes `--gpu-memory-utilization` × the GPU's total whatever the model's size, and needs that much free at
startup (vllm/v1/worker/utils.py, `request_memory`)."""

from collections.abc import Mapping

from gputui.domain.rope import Rope, rope_of
from gputui.domain.service import ClaimRule
from gputui.domain.serving import Serving
from gputui.domain.text import mapping, whole_number
from gputui.planning.backends.backend import (
    EIGHT_BITS,
    FOUR_BITS,
    Backend,
    Capability,
    Question,
    Reader,
    Version,
    cache_mib,
    loaded_mib,
    loaded_part,
    on_this_host,
    options_of,
    product,
    weights_mib,
)
from gputui.planning.command_options import CommandLine, Options, json_object
from gputui.planning.needs.model_memory import CONTEXT_MIB, model_context, up

DEFAULT_UTILIZATION = 0.92
"""vllm/config/cache.py; releases before 2026 used 0.90, so this is the safe side."""
DEFAULT_SEQUENCES = 256
SHORTEST_FITTING = 2048
"""The least number of tokens for an automatic context length."""
LATENT_SINCE = (0, 7, 1)
"""The version with multi-head latent attention (vLLM PR#12528)."""
WINDOWS_SINCE = (0, 8, 5)
"""The version that keeps only the window's tokens for a sliding-window layer."""

_LEAST_CAPABILITIES: Mapping[str, tuple[tuple[Version, Capability], ...]] = {
    "awq": (((0, 2, 0), (7, 5)),),
    "gptq": (((0, 0, 0), (6, 0)),),
    "wna16": (((0, 14, 0), (7, 5)), ((0, 0, 0), (8, 0))),
    "int8": (((0, 0, 0), (7, 5)),),
    "fp8": (((0, 14, 0), (7, 5)), ((0, 5, 1), (8, 0)), ((0, 0, 0), (8, 9))),
    "bitsandbytes": (((0, 0, 0), (7, 0)),),
    "mxfp4": (((0, 0, 0), (8, 0)),),
    "fp4": (((0, 0, 0), (8, 0)),),
}
"""The least compute capability by method and version, newest first (vLLM, `get_min_capability` of each method)."""

_ALIASES = {
    "--tensor-parallel-size": ("-tp",),
    "--pipeline-parallel-size": ("-pp",),
    "--data-parallel-size": ("-dp",),
    "--data-parallel-size-local": ("-dpl",),
    "--prefill-context-parallel-size": ("-pcp",),
    "--decode-context-parallel-size": ("-dcp",),
    "--data-parallel-rank": ("-dpn",),
    "--nnodes": (),
    "--distributed-executor-backend": (),
    "--enable-expert-parallel": ("-ep",),
    "--gpu-memory-utilization": (),
    "--kv-cache-memory-bytes": ("--kv-cache-memory",),
    "--max-model-len": (),
    "--max-num-seqs": (),
    "--max-num-batched-tokens": (),
    "--kv-cache-dtype": (),
    "--dtype": (),
    "--quantization": ("-q",),
    "--model": (),
    "--config": (),
    "--language-model-only": (),
    "--mm-encoder-tp-mode": (),
    "--enable-multimodal-encoder-data-parallel": (),
    "--limit-mm-per-prompt": (),
    "--cpu-offload-gb": (),
    "--rope-scaling": (),
    "--hf-overrides": (),
    "--speculative-config": ("-sc",),
    "--speculative-model": (),
    "--enable-lora": (),
    "--enable-eplb": (),
    "--disable-hybrid-kv-cache-manager": (),
}
_LOADED = {
    "bitsandbytes": FOUR_BITS, "fp8": EIGHT_BITS, "experts_int8": EIGHT_BITS, "ptpc_fp8": EIGHT_BITS,
}  # fmt: skip
"""What is left of 16-bit linear layers, by the method that quantises them while loading."""


def read_serving(line: CommandLine, environment: Mapping[str, str], gpus: int) -> Serving:
    """vLLM's options. Its own check covers tensor × pipeline size only; it needs that × data size GPUs."""
    options = options_of(line, environment, _ALIASES, {}, file_option="--config")
    read = Reader.of(options)
    tensor, pipeline = read.size("--tensor-parallel-size", 1), read.size("--pipeline-parallel-size", 1)
    data = read.size("--data-parallel-size", 1)
    # With its own rank it is one of the data-parallel instances, started separately.
    alone = options.text("--data-parallel-rank") is not None
    local = read.size("--data-parallel-size-local", 1 if alone else data)
    several_hosts = options.text("--distributed-executor-backend") == "ray" and (
        gpus < (product(tensor, pipeline) or 0)
    )
    world = product(tensor, pipeline, read.size("--prefill-context-parallel-size", 1), local)
    decode = read.size("--decode-context-parallel-size", 1)
    if tensor and decode and tensor % decode:
        read.invalid.append(
            f"--tensor-parallel-size {tensor} is not divisible by --decode-context-parallel-size {decode}"
        )
    fits = options.text("--max-model-len") in ("-1", "auto")
    positions, rope = _overridden(options)
    return Serving(
        tensor=tensor,
        pipeline=pipeline,
        data=local,
        experts=2 if options.on("--enable-expert-parallel") else None,
        # Expert layers form one group of all data and tensor ranks, with or without expert parallelism.
        expert_split=product(tensor, data),
        # Ray may add other hosts, so more GPUs than this host has is not an error.
        world=None if several_hosts else on_this_host(world, read.size("--nnodes", 1)),
        fraction=read.fraction("--gpu-memory-utilization", DEFAULT_UTILIZATION),
        fraction_given=options.text("--gpu-memory-utilization") is not None,
        fraction_known=read.is_sure("--gpu-memory-utilization"),
        kv_bytes=read.number("--kv-cache-memory-bytes"),
        context=None if fits else read.number("--max-model-len"),
        context_fits=fits,
        positions=positions,
        rope=rope,
        sequences=read.number("--max-num-seqs", DEFAULT_SEQUENCES),
        batch_tokens=read.number("--max-num-batched-tokens"),
        dtype=read.text("--dtype"),
        kv_dtype=read.cache_type("--kv-cache-dtype"),
        quantization=read.text("--quantization"),
        whole_latent=environment.get("VLLM_MLA_DISABLE") in ("1", "true", "True"),
        decode=decode or 1,
        whole_windows=environment.get("VLLM_USE_V1") == "0" or options.on("--disable-hybrid-kv-cache-manager"),
        host_mib=read.gib("--cpu-offload-gb"),
        language_only=options.on("--language-model-only") or _takes_no_pictures(options),
        vision_whole=options.text("--mm-encoder-tp-mode") == "data"
        or options.on("--enable-multimodal-encoder-data-parallel"),
        beside=_beside(options),
        unread=tuple(read.unread),
        invalid=tuple(read.invalid),
    )


def _overridden(options: Options) -> tuple[int | None, Rope | None]:
    """The positions and their scaling, if options override the model's configuration."""
    changed = json_object(options.text("--hf-overrides"))
    changed = {**changed, **mapping(changed.get("text_config"))}
    positions = whole_number(changed.get("max_position_embeddings"), least=1)
    scaling = json_object(options.text("--rope-scaling"))
    return positions, rope_of({"rope_scaling": scaling} if scaling else changed)


def _takes_no_pictures(options: Options) -> bool:
    """`--limit-mm-per-prompt` with 0 for everything: JSON, or `image=0`."""
    text = options.text("--limit-mm-per-prompt")
    if text is None:
        return False
    limits = json_object(text) or dict(part.partition("=")[::2] for part in text.split(","))
    return bool(limits) and all(whole_number(limit) == 0 for limit in limits.values())


def _beside(options: Options) -> tuple[str, ...]:
    """What it loads in addition to its model. Speculative methods that draft with the model itself load nothing
    more."""
    drafts = json_object(options.text("--speculative-config")).get("model")
    drafts = drafts or options.text("--speculative-model")
    extras = ["the draft model"] if isinstance(drafts, str) and drafts not in ("[ngram]", "ngram") else []
    extras += ["LoRA adapters"] if options.on("--enable-lora") else []
    return (*extras, *(["redundant experts"] if options.on("--enable-eplb") else []))


def minimum_mib(question: Question) -> int | None:
    """What must be free: everything but the cache, plus the cache of one request of the maximum length, which vLLM
    requires (or the requested size). Files in 16 bits that it quantises to 8 itself are loaded whole first."""
    serving, model = question.serving, question.files.architecture
    tokens = serving.batch_tokens or (8192 if (question.total_mib or 0) >= 70 * 1024 else 2048)
    part = loaded_part(question, _LOADED)
    base = loaded_mib(question, tokens=tokens, sequences=serving.sequences or DEFAULT_SEQUENCES, loaded=part)
    if base is None:
        return None
    longest = model_context(model, serving)
    length = serving.context or longest
    if serving.context_fits:
        length = min(longest or SHORTEST_FITTING, SHORTEST_FITTING)
    cache = up(serving.kv_bytes) if serving.kv_bytes is not None else _cache(question, length, tokens)
    if cache is None:
        return None
    at_first = (weights_mib(question) or 0) + CONTEXT_MIB if part == EIGHT_BITS else 0
    return max(base + cache, at_first)


def _cache(question: Question, length: int | None, batch: int) -> int | None:
    """Sliding-window layers keep the window and a chunk of a prefill (vLLM,
    `SlidingWindowSpec.max_memory_usage_bytes`); earlier versions keep everything, as do those before latent
    attention."""
    serving, model = question.serving, question.files.architecture
    whole_windows = serving.whole_windows or (serving.version is not None and serving.version < WINDOWS_SINCE)
    window = model.window if model else None
    window_tokens = length if whole_windows else window - 1 + batch if window else None
    latent = not serving.whole_latent and (serving.version is None or serving.version >= LATENT_SINCE)
    cache = cache_mib(question, length, in_window=window_tokens, latent=latent)
    # Decode context parallelism divides the tokens of a cache that tensor parallelism cannot cut further.
    return None if cache is None else -(-cache // serving.decode)


def claim(serving: Serving, total_mib: int | None, minimum: int | None) -> ClaimRule | None:
    """A fraction of the total, unless the cache size is given in bytes."""
    del total_mib, minimum
    if serving.kv_bytes is not None or serving.fraction is None:
        return None
    return ClaimRule("total", serving.fraction)


VLLM = Backend(
    name="vllm",
    order=10,
    marks=("vllm",),
    serving=read_serving,
    minimum_mib=minimum_mib,
    claim=claim,
    weights=lambda question: weights_mib(question, loaded=loaded_part(question, _LOADED)),
    takes_pictures=True,
    images=r"vllm",
    official_images=r"(^|/)(vllm/|vllm-openai(:|@|$))",
    health=(8000, "/health"),
    world_from_options=True,
    loads_model=True,
    needs_tokenizer=True,
    follows_model_dtype=True,
    least_capabilities=_LEAST_CAPABILITIES,
    reports_memory=True,
    reads_options_only=True,
    longer_context_variable="VLLM_ALLOW_LONG_MAX_MODEL_LEN",
    expert_option="set --enable-expert-parallel",
    starts_alone=True,
    tensor_flag="--tensor-parallel-size",
    context_flag="--max-model-len",
    memory_flag="--gpu-memory-utilization",
)
