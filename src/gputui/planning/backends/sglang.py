"""SGLang: weights and cache together take `--mem-fraction-static` × the memory free at startup
(sglang/srt/model_executor/model_runner.py); graphs and activations come on top."""

from collections.abc import Mapping

from gputui.domain.rope import rope_of
from gputui.domain.service import ClaimRule
from gputui.domain.serving import Serving
from gputui.domain.text import whole_number
from gputui.planning.backends.backend import (
    EIGHT_BITS,
    FOUR_BITS,
    OLDEST,
    Backend,
    Question,
    Reader,
    cache_mib,
    loaded_part,
    on_this_host,
    options_of,
    product,
    weights_mib,
)
from gputui.planning.command_options import CommandLine, Options, json_object
from gputui.planning.needs.model_memory import CONTEXT_MIB, model_context

_ALIASES = {
    "--tensor-parallel-size": ("--tp-size", "--tp"),
    "--pipeline-parallel-size": ("--pp-size", "--pp"),
    "--data-parallel-size": ("--dp-size", "--dp"),
    "--expert-parallel-size": ("--ep-size", "--ep"),
    "--enable-dp-attention": (),
    "--mem-fraction-static": (),
    "--context-length": (),
    "--max-running-requests": (),
    "--chunked-prefill-size": (),
    "--kv-cache-dtype": (),
    "--dtype": (),
    "--quantization": (),
    "--config": (),
    "--speculative-algorithm": (),
    "--speculative-draft-model-path": ("--speculative-draft-model",),
    "--json-model-override-args": (),
    "--mm-enable-dp-encoder": (),
    "--cpu-offload-gb": (),
    "--model-path": ("--model",),
    "--enable-lora": (),
    "--lora-paths": (),
    "--moe-a2a-backend": (),
    "--enable-ep-moe": (),
    "--enable-deepep-moe": (),
    "--language-only": (),
    "--nnodes": (),
}

_LOADED = {
    "bitsandbytes": FOUR_BITS, "fp8": EIGHT_BITS, "w8a8_fp8": EIGHT_BITS, "w8a8_int8": EIGHT_BITS,
    "torchao": EIGHT_BITS,
}  # fmt: skip
"""What is left of 16-bit linear layers, by the method that quantises them while loading."""

# (below this many MiB of total, chunk of a prefill, graph's batch with tp < 4, the same with tp >= 4)
# Vectors: 24564 MiB tp 4 and 40960 MiB tp 4 in the tests.
_TIERS = (
    (20480, 2048, 8, 8), (35840, 2048, 24, 80), (61440, 4096, 32, 160), (163840, 8192, 256, 512),
)  # fmt: skip
_LARGEST = (16384, 512, 512)

SMALL_GPU_MIB = 24 * 1024
"""Assumed if a GPU's total is unknown."""
SHORT_REQUEST = 8192
"""The least number of tokens for the cache: SGLang also starts with less than one longest request, but then cannot
serve it."""


def _tier(total_mib: int, tensor: int) -> tuple[int, int]:
    for limit, chunk, few, many in _TIERS:
        if total_mib < limit:
            return chunk, few if tensor < 4 else many
    return _LARGEST[0], _LARGEST[1]


def on_top_mib(total_mib: int, tensor: int = 1, pipeline: int = 1) -> float:
    """MiB that SGLang reserves outside its static part: a chunk's activations, the graphs, and communication between
    ranks; at least 10 GiB on large GPUs."""
    chunk, graphs = _tier(total_mib, tensor)
    reserve = 512 + 1.5 * max(chunk, 2048) + 2 * graphs + tensor * pipeline * 128
    return max(reserve, 10 * 1024) if total_mib > 60 * 1024 else reserve


def default_fraction(total_mib: int, tensor: int = 1, pipeline: int = 1) -> float:
    """The fraction that SGLang chooses if none is set (sglang/srt/server_args.py)."""
    return round((total_mib - on_top_mib(total_mib, tensor, pipeline)) / total_mib, 3)


def read_serving(line: CommandLine, environment: Mapping[str, str], gpus: int) -> Serving:
    """SGLang's options. With data-parallel attention, the data ranks share the same GPUs."""
    del gpus
    options = options_of(line, environment, _ALIASES, {}, file_option="--config")
    read = Reader.of(options)
    tensor, pipeline = read.size("--tensor-parallel-size", 1), read.size("--pipeline-parallel-size", 1)
    data = read.size("--data-parallel-size", 1)
    attention = options.on("--enable-dp-attention")
    if attention and tensor and data and tensor % data:
        read.invalid.append(f"--tp-size {tensor} is not divisible by --dp-size {data}, as --enable-dp-attention needs")
    changed = json_object(options.text("--json-model-override-args"))
    beside = ["the draft model"] if options.text("--speculative-draft-model-path") else []
    if options.on("--enable-lora") or options.text("--lora-paths"):
        beside.append("LoRA adapters")
    speculative = options.text("--speculative-algorithm") is not None
    if speculative and (pipeline or 1) > 1:
        read.invalid.append("pipeline parallelism does not go together with speculative decoding")
    return Serving(
        tensor=tensor,
        pipeline=pipeline,
        data=1 if attention else data,
        experts=tensor if _spreads_experts(options) else read.size("--expert-parallel-size", None),
        attention_split=max(1, tensor // data) if attention and tensor and data else None,
        expert_split=tensor,
        world=on_this_host(product(tensor, pipeline, 1 if attention else data), read.size("--nnodes", 1)),
        fraction=read.fraction("--mem-fraction-static", None),
        fraction_given=options.text("--mem-fraction-static") is not None,
        fraction_known=read.is_sure("--mem-fraction-static"),
        context=read.number("--context-length"),
        sequences=read.number("--max-running-requests"),
        batch_tokens=read.number("--chunked-prefill-size"),
        dtype=read.text("--dtype"),
        kv_dtype=read.cache_type("--kv-cache-dtype"),
        positions=whole_number(changed.get("max_position_embeddings"), least=1),
        rope=rope_of(changed),
        host_mib=read.gib("--cpu-offload-gb"),
        language_only=options.on("--language-only"),
        vision_whole=options.on("--mm-enable-dp-encoder"),
        beside=tuple(beside),
        quantization=read.text("--quantization"),
        unread=tuple(read.unread),
        invalid=tuple(read.invalid),
    )


def _spreads_experts(options: Options) -> bool:
    """Whether a flag other than their number keeps experts whole on the ranks (sglang/srt/server_args.py)."""
    by_exchange = options.text("--moe-a2a-backend") not in (None, "none")
    return by_exchange or options.on("--enable-ep-moe") or options.on("--enable-deepep-moe")


def minimum_mib(question: Question) -> int | None:
    """What must be free at startup for the static fraction to hold the weights and a short request."""
    serving, model = question.serving, question.files.architecture
    tensor, pipeline = serving.tensor or 1, serving.pipeline or 1
    context = model_context(model, serving, keeps_original=True)
    cache = cache_mib(question, serving.context or min(context or SHORT_REQUEST, SHORT_REQUEST))
    weights = weights_mib(question, loaded=loaded_part(question, _LOADED))
    if weights is None or cache is None:
        return None
    static = weights + cache
    total = question.total_mib or SMALL_GPU_MIB
    fraction = serving.fraction or default_fraction(total, tensor, pipeline)
    return max(static + _beside_static_mib(serving, total, tensor), int(static / fraction) + 1)


def claim(serving: Serving, total_mib: int | None, minimum: int | None) -> ClaimRule | None:
    """A fraction of the free memory (SGLang's default if none is set), plus what comes on top."""
    del minimum
    if "--mem-fraction-static" in serving.unread or total_mib is None:
        return None
    tensor = serving.tensor or 1
    fraction = serving.fraction or default_fraction(total_mib, tensor, serving.pipeline or 1)
    return ClaimRule("free", fraction, _beside_static_mib(serving, total_mib, tensor))


def _beside_static_mib(serving: Serving, total_mib: int, tensor: int) -> int:
    chunk, graphs = _tier(total_mib, tensor)
    chunk_size = serving.batch_tokens or 0
    return CONTEXT_MIB + int(1.5 * (chunk_size if chunk_size > 0 else chunk)) + 2 * graphs


SGLANG = Backend(
    name="sglang",
    order=20,
    marks=("sglang",),
    serving=read_serving,
    minimum_mib=minimum_mib,
    claim=claim,
    weights=lambda question: weights_mib(question, loaded=loaded_part(question, _LOADED)),
    takes_pictures=True,
    images=r"sglang",
    official_images=r"(^|/)lmsysorg/",
    health=(30000, "/health"),
    world_from_options=True,
    loads_model=True,
    needs_tokenizer=True,
    follows_model_dtype=True,
    least_capabilities={"awq": ((OLDEST, (7, 5)),), "fp8": ((OLDEST, (8, 0)),), "gptq": ((OLDEST, (6, 0)),)},
    reports_memory=True,
    reads_options_only=True,
    longer_context_variable="SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN",
    keeps_original_context=True,
    expert_option="raise --ep-size",
    refuses_uneven_memory=True,
    tensor_flag="--tp-size",
    context_flag="--context-length",
)
