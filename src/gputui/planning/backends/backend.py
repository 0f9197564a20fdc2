"""The interface to a serving program, and what backends share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gputui.domain.model import ModelFiles
from gputui.domain.service import ClaimRule
from gputui.domain.serving import Serving
from gputui.domain.text import real_number
from gputui.planning.command_options import CommandLine, Options, fraction, read_options, whole_number
from gputui.planning.needs.model_memory import (
    COLLECTIVES_MIB,
    CONTEXT_MIB,
    activation_mib,
    is_cache_type,
    kv_bits,
    kv_bytes,
    up,
    weights_bytes,
)

Version = tuple[int, int, int]
OLDEST: Version = (0, 0, 0)
Capability = tuple[int, int]
"""A compute capability."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The input of a memory rule: the model on disk, how it is served, on how many GPUs, and the size of the smallest;
    `totals_mib` are the sizes of all GPUs in order, where known."""

    files: ModelFiles
    serving: Serving
    gpus: int
    total_mib: int | None
    totals_mib: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A serving program. `marks` are substrings of its images and commands; of several that match, that of the lowest
    `order` counts.

    `serving` reads its options. `minimum_mib` is the least it needs on each GPU, None if the files do not tell enough.
    `claim` is how much it takes once it runs (from a GPU's total and the minimum), None if just the minimum. `parts` is
    each GPU's share of the total, where shares are unequal; `weights` the MiB of weights on each GPU, as the program
    logs them. `memory_flag` is the option that sets its memory as a fraction of the GPU's total. An `elastic` backend
    allocates on demand, so a declared need says more than its files.

    `images` is a pattern of the names of its images; those that match `official_images` start its server without any
    options where they have no command. `health` is its port and the path that answers once it serves (vllm serve,
    SGLang's server arguments, TGI's launcher, llama.cpp's tools/server README, trtllm-serve).

    `world_from_options`: its options decide how many GPUs it uses. `loads_model`: it serves a model that it is given by
    path or name; `needs_tokenizer`: with its tokenizer; `follows_model_dtype`: in the model's own type of numbers.
    `least_capabilities` are the least compute capabilities of quantisation methods, by version, newest first.
    `reports_memory`: its log tells how much memory it took. `reads_options_only`: no variable sets an option.

    `longer_context_variable` lets it accept a longer context than its model has; `limits_context`: it refuses one
    otherwise, or fails later. `keeps_original_context`: the model's own length counts, whatever its scaling.
    `expert_option` is what divides experts over GPUs. `mixes_gpus`: its GPUs need not have equal memory free;
    `refuses_uneven_memory`: groups of others are refused. `starts_alone`: two that start on one GPU at the same time
    count each other's memory as their own.
    """

    name: str
    marks: tuple[str, ...]
    order: int = 50
    serving: Callable[[CommandLine, Mapping[str, str], int], Serving]
    minimum_mib: Callable[[Question], int | None]
    claim: Callable[[Serving, int | None, int | None], ClaimRule | None] | None = None
    parts: Callable[[Question], tuple[float, ...]] | None = None
    weights: Callable[[Question], int | None] | None = None
    tensor_flag: str = ""
    context_flag: str = ""
    memory_flag: str = ""
    elastic: bool = False
    takes_pictures: bool = False
    images: str = ""
    official_images: str = ""
    health: tuple[int, str] | None = None
    world_from_options: bool = False
    loads_model: bool = False
    needs_tokenizer: bool = False
    follows_model_dtype: bool = False
    least_capabilities: Mapping[str, tuple[tuple[Version, Capability], ...]] = field(default_factory=dict)
    reports_memory: bool = False
    reads_options_only: bool = False
    longer_context_variable: str = ""
    limits_context: bool = True
    keeps_original_context: bool = False
    expert_option: str = ""
    mixes_gpus: bool = False
    refuses_uneven_memory: bool = False
    starts_alone: bool = False


@dataclass(slots=True)
class Reader:
    """Reads options one by one, and collects those that cannot be determined or that no engine accepts."""

    options: Options
    unread: list[str]
    invalid: list[str]

    @classmethod
    def of(cls, options: Options) -> "Reader":
        """A reader that has not read anything yet."""
        return cls(options, [], [f"{name} and its value are one item, “{word}”" for name, word in options.joined])

    def size(self, name: str, otherwise: int | None) -> int | None:
        """A parallel size: at least 1."""
        value = self.number(name, otherwise)
        if value is not None and value < 1:
            self.invalid.append(f"{name} {value} is less than 1")
            return None
        return value

    def number(self, name: str, otherwise: int | None = None) -> int | None:
        """An integer; `otherwise` if it is not set."""
        text = self._given(name)
        if text is None:
            return otherwise if self.is_sure(name) else None
        value = whole_number(text)
        if value is None:
            self.invalid.append(f"{name} {text[:40]} is no whole number")
        return value

    def fraction(self, name: str, otherwise: float | None) -> float | None:
        """A number above 0 and at most 1."""
        text = self._given(name)
        if text is None:
            return otherwise if self.is_sure(name) else None
        value = fraction(text)
        if value is None:
            self.invalid.append(f"{name} {text[:40]} is no fraction between 0 and 1")
        return value

    def _given(self, name: str) -> str | None:
        """The value that is set; records a value that is missing or cannot be determined."""
        if not self.options.known(name):
            self.unread.append(name)
        elif name in self.options.switches:
            self.invalid.append(f"{name} has no value")
        return self.options.text(name)

    def is_sure(self, name: str) -> bool:
        """Whether an option that was read is known, with a value that an engine accepts."""
        return name not in self.unread and not any(text.startswith(f"{name} ") for text in self.invalid)

    def text(self, name: str) -> str | None:
        """A value as written."""
        if not self.options.known(name):
            self.unread.append(name)
        return self.options.text(name)

    def cache_type(self, name: str) -> str | None:
        """The type of cached values; a type unknown here is recorded as unread."""
        text = self.text(name)
        if text is not None and not is_cache_type(text):
            self.unread.append(name)
        return text

    def gib(self, name: str) -> int:
        """A number of GiB, as MiB; 0 if it is not set."""
        text = self._given(name)
        value = 0.0 if text is None else real_number(text)
        if value is None or not 0 <= value <= LARGEST_GIB:
            self.invalid.append(f"{name} {str(text)[:40]} is no number of GiB")
            return 0
        return int(value * 1024)


LARGEST_GIB = 1_000_000


def product(*sizes: int | None) -> int | None:
    """The product; None if any factor is unknown."""
    result = 1
    for size in sizes:
        if size is None:
            return None
        result *= size
    return result


def on_this_host(world: int | None, hosts: int | None) -> int | None:
    """The GPUs on one of several hosts that serve together; None if unknown."""
    if world is None or hosts is None or world % hosts:
        return None
    return world // hosts


def options_of(
    line: CommandLine,
    environment: Mapping[str, str],
    aliases: Mapping[str, Sequence[str]],
    variables: Mapping[str, Sequence[str]],
    *,
    file_option: str,
) -> Options:
    """The options of a program that also accepts an options file. Only the container can read that file, which may set
    anything that the command line leaves open."""
    options = read_options(line, environment, aliases, variables)
    if options.text(file_option) is None:
        return options
    return read_options(replace(line, opaque=True), environment, aliases, variables)


def weights_mib(question: Question, *, loaded: float = 1.0) -> int | None:
    """MiB of weights on each GPU, without those kept in host memory; `loaded` as in `weights_bytes`. None if
    unknown."""
    serving = question.serving
    weights = weights_bytes(
        question.files,
        tensor=serving.tensor or 1,
        pipeline=serving.pipeline or 1,
        experts=serving.expert_split if has_experts(question) else None,
        attention=serving.attention_split,
        loaded=loaded,
    )
    return None if weights is None else max(0, up(int(weights * cast_part(question))) - serving.host_mib)


_WIDTHS = {"F32": 4, "F16": 2, "BF16": 2}


def cast_part(question: Question) -> float:
    """The size of the weights relative to their files, once cast to the compute type: 16 bits, unless 32 are requested.
    Quantised weights are not cast."""
    files, serving = question.files, question.serving
    if serving.quantization is not None or (
        files.architecture is not None and files.architecture.quantization is not None
    ):
        return 1.0
    target = 4 if serving.dtype in ("float32", "float") else 2
    sizes = files.bytes_by_dtype
    stored = sum(sizes.values())
    cast = sum(size * target // _WIDTHS.get(dtype, target) for dtype, size in sizes.items())
    return cast / stored if stored else 1.0


def has_experts(question: Question) -> bool:
    """Whether the model is a mixture of experts."""
    return bool(question.files.architecture and question.files.architecture.experts)


def loaded_mib(question: Question, *, tokens: int, sequences: int, loaded: float = 1.0) -> int | None:
    """MiB on each GPU for everything but keys and values: weights, a forward pass of this many tokens and sequences,
    the CUDA context, and collectives between GPUs. None if the weights are unknown."""
    tensor, pipeline = question.serving.tensor or 1, question.serving.pipeline or 1
    weights = weights_mib(question, loaded=loaded)
    if weights is None:
        return None
    activation = activation_mib(question.files.architecture, weights, tokens=tokens, sequences=sequences, tensor=tensor)
    spread = (question.serving.expert_split or 1) > 1 and has_experts(question)
    together = COLLECTIVES_MIB if tensor * pipeline > 1 or spread else 0
    return weights + activation + CONTEXT_MIB + together


def cache_mib(
    question: Question, tokens: int | None, *, in_window: int | None = None, latent: bool = True
) -> int | None:
    """MiB of one request's keys and values on each GPU; None if the model or its cache type is unknown."""
    serving, model = question.serving, question.files.architecture
    # Keys and values have the compute type.
    bits = kv_bits(serving.kv_dtype, serving.dtype)
    if model is None or bits is None or tokens is None:
        return None
    cache = kv_bytes(
        model,
        tokens,
        bits,
        tensor=serving.attention_split or serving.tensor or 1,
        pipeline=serving.pipeline or 1,
        in_window=in_window,
        latent=latent,
    )
    return None if cache is None else up(cache)


def loaded_part(question: Question, parts: Mapping[str, float]) -> float:
    """The fraction left of 16-bit linear layers that the engine quantises while loading, by the method in its options;
    1 for files already quantised."""
    model, method = question.files.architecture, question.serving.quantization
    if method is None or (model is not None and model.quantization is not None):
        return 1.0
    return parts.get(method.lower(), 1.0)


FOUR_BITS = (0.5 + 4 / 64) / 2
"""Relative to 16 bits, with a scale of four bytes per 64 weights (bitsandbytes)."""
EIGHT_BITS = 0.5
