"""TensorRT-LLM: its cache takes a fraction of what is free after loading weights and buffers
(tensorrt_llm/commands/serve.py), so the first server on a shared GPU takes nearly all that is left."""

from collections.abc import Mapping

from gputui.domain.service import ClaimRule
from gputui.domain.serving import Serving
from gputui.planning.backends.backend import (
    OLDEST,
    Backend,
    Question,
    Reader,
    cache_mib,
    loaded_mib,
    options_of,
    product,
    weights_mib,
)
from gputui.planning.command_options import CommandLine
from gputui.planning.needs.model_memory import model_context

DEFAULT_FRACTION = 0.9

_ALIASES = {
    "--tensor-parallel-size": ("--tp-size",),
    "--pipeline-parallel-size": ("--pp-size",),
    "--context-parallel-size": ("--cp-size",),
    "--moe-expert-parallel-size": ("--ep-size",),
    "--free-gpu-memory-fraction": ("--kv-cache-free-gpu-memory-fraction",),
    "--max-seq-len": (),
    "--max-batch-size": (),
    "--max-num-tokens": (),
    "--kv-cache-dtype": (),
    "--model": (),
    "--extra-llm-api-options": ("--config",),
}


def read_serving(line: CommandLine, environment: Mapping[str, str], gpus: int) -> Serving:
    """The options of `trtllm-serve`; there is no data parallelism."""
    del gpus
    options = options_of(line, environment, _ALIASES, {}, file_option="--extra-llm-api-options")
    read = Reader.of(options)
    tensor, pipeline = read.size("--tensor-parallel-size", 1), read.size("--pipeline-parallel-size", 1)
    experts = read.size("--moe-expert-parallel-size", None)
    if experts and tensor and tensor % experts:
        read.invalid.append(f"--ep_size {experts} does not divide --tp_size {tensor}")
    return Serving(
        tensor=tensor,
        pipeline=pipeline,
        experts=experts,
        world=product(tensor, pipeline, read.size("--context-parallel-size", 1)),
        fraction=read.fraction("--free-gpu-memory-fraction", DEFAULT_FRACTION),
        fraction_given=options.text("--free-gpu-memory-fraction") is not None,
        fraction_known=read.is_sure("--free-gpu-memory-fraction"),
        context=read.number("--max-seq-len"),
        sequences=read.number("--max-batch-size"),
        batch_tokens=read.number("--max-num-tokens", 8192),
        kv_dtype=read.cache_type("--kv-cache-dtype"),
        unread=tuple(read.unread),
        invalid=tuple(read.invalid),
    )


def minimum_mib(question: Question) -> int | None:
    """Weights and buffers, plus enough memory for the cache fraction of it to hold one request."""
    serving, model = question.serving, question.files.architecture
    base = loaded_mib(question, tokens=serving.batch_tokens or 8192, sequences=serving.sequences or 256)
    cache = cache_mib(question, serving.context or model_context(model, serving))
    if base is None or cache is None:
        return None
    return base + int(cache / (serving.fraction or DEFAULT_FRACTION))


def claim(serving: Serving, total_mib: int | None, minimum: int | None) -> ClaimRule | None:
    """A fraction of what is left after loading; without the files, neither that nor the claim is known."""
    del total_mib
    if serving.fraction is None:
        return None
    return ClaimRule("rest", serving.fraction, minimum or 0)


TENSORRT_LLM = Backend(
    name="tensorrt_llm",
    order=30,
    marks=("tensorrt-llm", "tensorrt_llm", "trtllm"),
    serving=read_serving,
    minimum_mib=minimum_mib,
    claim=claim,
    weights=weights_mib,
    images=r"tensorrt[-_]llm|trtllm",
    official_images=r"(^|/)nvcr\.io/",
    health=(8000, "/health"),
    world_from_options=True,
    loads_model=True,
    follows_model_dtype=True,
    least_capabilities={"fp8": ((OLDEST, (8, 0)),)},
    reports_memory=True,
    tensor_flag="--tp_size",
    context_flag="--max_seq_len",
)
