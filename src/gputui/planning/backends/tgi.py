"""Text Generation Inference: may take `--cuda-memory-fraction` × the GPU's total, and fills it with cache (launcher's
manual)."""

from collections.abc import Mapping

from gputui.domain.service import ClaimRule
from gputui.domain.serving import Serving
from gputui.planning.arguments import CommandLine, read_options
from gputui.planning.backends.backend import Backend, Question, Reader, cache_bytes, loaded_mib
from gputui.planning.model_memory import up

_ALIASES = {
    "--num-shard": (),
    "--sharded": (),
    "--cuda-memory-fraction": (),
    "--max-total-tokens": (),
    "--max-batch-prefill-tokens": (),
    "--kv-cache-dtype": (),
    "--dtype": (),
    "--quantize": (),
    "--model-id": (),
}
_VARIABLES = {
    "--num-shard": ("NUM_SHARD",),
    "--sharded": ("SHARDED",),
    "--cuda-memory-fraction": ("CUDA_MEMORY_FRACTION",),
    "--max-total-tokens": ("MAX_TOTAL_TOKENS",),
    "--max-batch-prefill-tokens": ("MAX_BATCH_PREFILL_TOKENS",),
    "--kv-cache-dtype": ("KV_CACHE_DTYPE",),
    "--dtype": ("DTYPE",),
    "--quantize": ("QUANTIZE",),
}


def serving(line: CommandLine, environment: Mapping[str, str], gpus: int) -> Serving:
    """What the launcher's options say; without a number of shards it takes every GPU that it sees."""
    options = read_options(line, environment, _ALIASES, _VARIABLES)
    read = Reader.of(options)
    shards = read.size("--num-shard", None)
    whole = (options.text("--sharded") or "").lower() == "false"
    if shards is None and "--num-shard" not in read.unread and not read.invalid:
        shards = 1 if whole else max(1, gpus)
    return Serving(
        tensor=shards,
        world=shards,
        fraction=read.fraction("--cuda-memory-fraction", 1.0),
        fraction_given=options.text("--cuda-memory-fraction") is not None,
        fraction_known=read.is_sure("--cuda-memory-fraction"),
        context=read.number("--max-total-tokens"),
        batch_tokens=read.number("--max-batch-prefill-tokens", 4096),
        kv_dtype=read.text("--kv-cache-dtype"),
        dtype=read.text("--dtype"),
        quantization=read.text("--quantize"),
        unread=tuple(read.unread),
        invalid=tuple(read.invalid),
    )


def minimum_mib(question: Question) -> int | None:
    """Weights, a prefill and the cache of one request."""
    how = question.serving
    base = loaded_mib(question, tokens=how.batch_tokens or 4096, sequences=128)
    return None if base is None else base + up(cache_bytes(question, how.context or 4096))


def claim(how: Serving, total_mib: int | None, minimum: int | None) -> ClaimRule | None:
    """The whole of what it may take."""
    del total_mib, minimum
    return None if how.fraction is None else ClaimRule("total", how.fraction)


TGI = Backend(
    name="tgi",
    marks=("text-generation-inference", "text-generation-launcher"),
    serving=serving,
    minimum_mib=minimum_mib,
    claim=claim,
    tensor_flag="--num-shard",
    context_flag="--max-total-tokens",
    memory_flag="--cuda-memory-fraction",
)
