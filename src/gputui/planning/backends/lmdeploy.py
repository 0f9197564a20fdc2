"""LMDeploy: its cache takes `--cache-max-entry-count` of what is free after loading the weights (docs, api_server)."""

from collections.abc import Mapping

from gputui.domain.service import ClaimRule
from gputui.domain.serving import Serving
from gputui.planning.backends.backend import OLDEST, Backend, Question, Reader, cache_mib, loaded_mib, product
from gputui.planning.command_options import CommandLine, read_options
from gputui.planning.needs.model_memory import model_context

DEFAULT_FRACTION = 0.8
SHORT_SESSION = 8192
"""The least number of tokens for the cache if no session length is set."""

_ALIASES = {
    "--tp": (),
    "--dp": (),
    "--session-len": (),
    "--cache-max-entry-count": (),
    "--quant-policy": (),
    "--max-batch-size": (),
    "--max-prefill-token-num": (),
    "--model-format": (),
    "--dtype": (),
    "--server-port": (),
    "--server-name": (),
    "--model-name": (),
    "--backend": (),
    "--adapters": (),
}
_CACHE_TYPES = {"0": None, "4": "q4_0", "8": "int8"}
"""Types of cached values by `--quant-policy`."""


def read_serving(line: CommandLine, environment: Mapping[str, str], gpus: int) -> Serving:
    """The options of `lmdeploy serve api_server`."""
    del gpus
    options = read_options(line, environment, _ALIASES, {})
    read = Reader.of(options)
    tensor, data = read.size("--tp", 1), read.size("--dp", 1)
    policy = read.text("--quant-policy") or "0"
    if policy not in _CACHE_TYPES:
        read.unread.append("--quant-policy")
    return Serving(
        tensor=tensor,
        data=data,
        world=product(tensor, data),
        fraction=read.fraction("--cache-max-entry-count", DEFAULT_FRACTION),
        fraction_given=options.text("--cache-max-entry-count") is not None,
        fraction_known=read.is_sure("--cache-max-entry-count"),
        context=read.number("--session-len"),
        sequences=read.number("--max-batch-size", 128),
        batch_tokens=read.number("--max-prefill-token-num", 8192),
        kv_dtype=_CACHE_TYPES.get(policy, policy),
        dtype=read.text("--dtype"),
        beside=("LoRA adapters",) if options.text("--adapters") else (),
        unread=tuple(read.unread),
        invalid=tuple(read.invalid),
    )


def minimum_mib(question: Question) -> int | None:
    """The least it holds: weights, buffers, and the cache of one short session."""
    serving = question.serving
    base = loaded_mib(question, tokens=serving.batch_tokens or 8192, sequences=serving.sequences or 128)
    longest = model_context(question.files.architecture, serving) or SHORT_SESSION
    cache = cache_mib(question, serving.context or min(longest, SHORT_SESSION))
    if base is None or cache is None:
        return None
    return base + cache


def claim(serving: Serving, total_mib: int | None, minimum: int | None) -> ClaimRule | None:
    """A fraction of what is left after loading; without the files, neither that nor the claim is known."""
    del total_mib
    if serving.fraction is None or minimum is None:
        return None
    return ClaimRule("rest", serving.fraction, minimum)


LMDEPLOY = Backend(
    name="lmdeploy",
    marks=("lmdeploy",),
    serving=read_serving,
    minimum_mib=minimum_mib,
    claim=claim,
    tensor_flag="--tp",
    context_flag="--session-len",
    takes_pictures=True,
    images=r"lmdeploy",
    official_images=r"(^|/)openmmlab/",
    world_from_options=True,
    loads_model=True,
    least_capabilities={"fp8": ((OLDEST, (8, 0)),)},
)
