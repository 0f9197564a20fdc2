"""Text Generation Inference: may take `--cuda-memory-fraction` × the GPU's total, and fills it with cache (launcher's
manual)."""

from collections.abc import Mapping

from gputui.domain.service import ClaimRule
from gputui.domain.serving import Serving
from gputui.planning.backends.backend import (
    EIGHT_BITS,
    FOUR_BITS,
    OLDEST,
    Backend,
    Question,
    Reader,
    cache_mib,
    loaded_mib,
    loaded_part,
)
from gputui.planning.command_options import CommandLine, read_options

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
    "--lora-adapters": (),
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


_LOADED = {
    "bitsandbytes": EIGHT_BITS, "eetq": EIGHT_BITS, "fp8": EIGHT_BITS, "bitsandbytes-nf4": FOUR_BITS,
    "bitsandbytes-fp4": FOUR_BITS,
}  # fmt: skip
"""What is left of 16-bit linear layers, by the method that quantises them while loading (launcher's manual)."""


def read_serving(line: CommandLine, environment: Mapping[str, str], gpus: int) -> Serving:
    """The launcher's options; without a number of shards it uses every GPU it sees."""
    options = read_options(line, environment, _ALIASES, _VARIABLES)
    read = Reader.of(options)
    shards = read.size("--num-shard", None)
    unsharded = (options.text("--sharded") or "").lower() == "false"
    if shards is None and "--num-shard" not in read.unread and not read.invalid:
        shards = 1 if unsharded else max(1, gpus)
    return Serving(
        tensor=shards,
        world=shards,
        fraction=read.fraction("--cuda-memory-fraction", 1.0),
        fraction_given=options.text("--cuda-memory-fraction") is not None,
        fraction_known=read.is_sure("--cuda-memory-fraction"),
        context=read.number("--max-total-tokens"),
        batch_tokens=read.number("--max-batch-prefill-tokens", 4096),
        kv_dtype=read.cache_type("--kv-cache-dtype"),
        dtype=read.text("--dtype"),
        beside=("LoRA adapters",) if options.text("--lora-adapters") else (),
        quantization=read.text("--quantize"),
        unread=tuple(read.unread),
        invalid=tuple(read.invalid),
    )


def minimum_mib(question: Question) -> int | None:
    """Weights, one prefill and the cache of one request."""
    serving = question.serving
    part = loaded_part(question, _LOADED)
    base = loaded_mib(question, tokens=serving.batch_tokens or 4096, sequences=128, loaded=part)
    cache = cache_mib(question, serving.context or 4096)
    return None if base is None or cache is None else base + cache


def claim(serving: Serving, total_mib: int | None, minimum: int | None) -> ClaimRule | None:
    """All that it may take."""
    del total_mib, minimum
    return None if serving.fraction is None else ClaimRule("total", serving.fraction)


TGI = Backend(
    name="tgi",
    order=40,
    marks=("text-generation-inference", "text-generation-launcher"),
    serving=read_serving,
    minimum_mib=minimum_mib,
    claim=claim,
    takes_pictures=True,
    images=r"text-generation-inference",
    official_images=r"(^|/)huggingface/",
    health=(80, "/health"),
    world_from_options=True,
    loads_model=True,
    needs_tokenizer=True,
    least_capabilities={"fp8": ((OLDEST, (8, 0)),)},
    reports_memory=True,
    tensor_flag="--num-shard",
    context_flag="--max-total-tokens",
    memory_flag="--cuda-memory-fraction",
)
