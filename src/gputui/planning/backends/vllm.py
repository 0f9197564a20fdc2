"""vLLM: takes `--gpu-memory-utilization` × the GPU's total whatever the model's size, and needs that much free when it
starts (vllm/v1/worker/utils.py, `request_memory`)."""

from collections.abc import Mapping

from gputui.domain.service import ClaimRule
from gputui.domain.serving import Serving
from gputui.planning.arguments import CommandLine
from gputui.planning.backends.backend import (
    Backend,
    Question,
    Reader,
    cache_bytes,
    loaded_mib,
    on_this_host,
    options_of,
    product,
)
from gputui.planning.model_memory import up

DEFAULT_UTILIZATION = 0.92
"""vllm/config/cache.py; releases before 2026 took 0.90, so this is the safe side."""
DEFAULT_SEQUENCES = 256

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
}
_VARIABLES = {
    "--tensor-parallel-size": ("TENSOR_PARALLEL_SIZE", "TENSOR_PARALLEL"),
    "--pipeline-parallel-size": ("PIPELINE_PARALLEL_SIZE", "PIPELINE_PARALLEL"),
    "--data-parallel-size": ("VLLM_DP_SIZE", "DATA_PARALLEL_SIZE"),
    "--gpu-memory-utilization": ("GPU_MEMORY_UTILIZATION", "GPU_MEMORY_UTIL"),
    "--max-model-len": ("MAX_MODEL_LEN",),
    "--kv-cache-dtype": ("KV_CACHE_DTYPE",),
}


def serving(line: CommandLine, environment: Mapping[str, str], gpus: int) -> Serving:
    """What vLLM's options say. Its own check counts tensor × pipeline sizes only; the GPUs needed are × data."""
    options = options_of(line, environment, _ALIASES, _VARIABLES, file_option="--config")
    read = Reader.of(options)
    tensor, pipeline = read.size("--tensor-parallel-size", 1), read.size("--pipeline-parallel-size", 1)
    data = read.size("--data-parallel-size", 1)
    # A rank of its own is one of the data-parallel instances, started by itself.
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
    context = options.text("--max-model-len")
    return Serving(
        tensor=tensor,
        pipeline=pipeline,
        data=local,
        experts=2 if options.on("--enable-expert-parallel") else None,
        # Ray may bring in other hosts, so that more than there are here is no mistake.
        world=None if several_hosts else on_this_host(world, read.size("--nnodes", 1)),
        fraction=read.fraction("--gpu-memory-utilization", DEFAULT_UTILIZATION),
        fraction_given=options.text("--gpu-memory-utilization") is not None,
        fraction_known=read.is_sure("--gpu-memory-utilization"),
        kv_bytes=read.number("--kv-cache-memory-bytes"),
        context=None if context in ("-1", "auto") else read.number("--max-model-len"),
        sequences=read.number("--max-num-seqs", DEFAULT_SEQUENCES),
        batch_tokens=read.number("--max-num-batched-tokens"),
        dtype=read.text("--dtype"),
        kv_dtype=read.text("--kv-cache-dtype"),
        quantization=read.text("--quantization"),
        language_only=options.on("--language-model-only"),
        unread=tuple(read.unread),
        invalid=tuple(read.invalid),
    )


def minimum_mib(question: Question) -> int | None:
    """What must be free: all but the cache, and the cache of one request of the longest length, which vLLM insists on
    (or as much as was asked for)."""
    how, model = question.serving, question.files.architecture
    tokens = how.batch_tokens or (8192 if (question.total_mib or 0) >= 70 * 1024 else 2048)
    base = loaded_mib(question, tokens=tokens, sequences=how.sequences or DEFAULT_SEQUENCES)
    if base is None:
        return None
    if how.kv_bytes is not None:
        return base + up(how.kv_bytes)
    return base + up(cache_bytes(question, how.context or (model.context if model else None)))


def claim(how: Serving, total_mib: int | None, minimum: int | None) -> ClaimRule | None:
    """A fraction of the total, unless the cache's size is given in bytes."""
    del total_mib, minimum
    if how.kv_bytes is not None or how.fraction is None:
        return None
    return ClaimRule("total", how.fraction)


VLLM = Backend(
    name="vllm",
    marks=("vllm",),
    serving=serving,
    minimum_mib=minimum_mib,
    claim=claim,
    tensor_flag="--tensor-parallel-size",
    context_flag="--max-model-len",
    memory_flag="--gpu-memory-utilization",
)
