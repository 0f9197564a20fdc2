"""What is known of a serving program."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gputui.domain.model import ModelFiles
from gputui.domain.service import ClaimRule
from gputui.domain.serving import Serving
from gputui.domain.text import real_number
from gputui.planning.arguments import CommandLine, Options, fraction, read_options, whole_number
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a rule of memory is asked: the model on disk, how it is served, on how many GPUs, of which size the smallest
    is; `totals_mib` are those of all, in their order, where they are known."""

    files: ModelFiles
    serving: Serving
    gpus: int
    total_mib: int | None
    totals_mib: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A serving program. `marks` are what its images and commands are called.

    `serving` reads its options; `minimum_mib` tells what it needs at least on each GPU, None where the files do not
    tell enough; `claim` how much it takes once it runs (from a GPU's total and the minimum), None where that is just
    the minimum; `parts` the part of the whole that each GPU gets, where they are not equal; `weights` the MiB of
    weights on each GPU, as the program tells them itself. `memory_flag` is the option
    that sets how much it takes, as a fraction of the GPU's total. An `elastic`
    one takes what it needs as it goes, so that its files tell less than somebody who declared its need.
    """

    name: str
    marks: tuple[str, ...]
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


@dataclass(slots=True)
class Reader:
    """Reads options one by one, and remembers those that cannot be told or that no engine takes."""

    options: Options
    unread: list[str]
    invalid: list[str]

    @classmethod
    def of(cls, options: Options) -> "Reader":
        """A reader that has read nothing yet."""
        return cls(options, [], [f"{name} and its value are one item, “{word}”" for name, word in options.joined])

    def size(self, name: str, otherwise: int | None) -> int | None:
        """A parallel size: at least 1."""
        value = self.number(name, otherwise)
        if value is not None and value < 1:
            self.invalid.append(f"{name} {value} is less than 1")
            return None
        return value

    def number(self, name: str, otherwise: int | None = None) -> int | None:
        """A whole number; `otherwise` where it is not given."""
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
        """The value that is given; where there is none but should be, or it cannot be told, that is noted."""
        if not self.options.known(name):
            self.unread.append(name)
        elif name in self.options.switches:
            self.invalid.append(f"{name} has no value")
        return self.options.text(name)

    def is_sure(self, name: str) -> bool:
        """Whether an option that was read can be told, and has a value that an engine takes."""
        return name not in self.unread and not any(text.startswith(f"{name} ") for text in self.invalid)

    def text(self, name: str) -> str | None:
        """A value as it is written."""
        if not self.options.known(name):
            self.unread.append(name)
        return self.options.text(name)

    def cache_type(self, name: str) -> str | None:
        """The type of cached values; one that is not known here has a width that cannot be told."""
        text = self.text(name)
        if text is not None and not is_cache_type(text):
            self.unread.append(name)
        return text

    def gib(self, name: str) -> int:
        """A number of GiB, as MiB; 0 where it is not given."""
        text = self._given(name)
        value = 0.0 if text is None else real_number(text)
        if value is None or not 0 <= value <= LARGEST_GIB:
            self.invalid.append(f"{name} {str(text)[:40]} is no number of GiB")
            return 0
        return int(value * 1024)


LARGEST_GIB = 1_000_000


def product(*sizes: int | None) -> int | None:
    """The product; None where one of them is unknown."""
    result = 1
    for size in sizes:
        if size is None:
            return None
        result *= size
    return result


def on_this_host(world: int | None, hosts: int | None) -> int | None:
    """The GPUs on one of several hosts that serve together; None where that cannot be told."""
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
    """The options of a program that can also be told a file of them. That only the container can read, and it may set
    anything that the command line leaves open."""
    options = read_options(line, environment, aliases, variables)
    if options.text(file_option) is None:
        return options
    return read_options(replace(line, opaque=True), environment, aliases, variables)


def weights_mib(question: Question, *, loaded: float = 1.0) -> int | None:
    """MiB of weights on each GPU, less what stays in the host's memory; `loaded` as `weights_bytes`. None where they
    are not known."""
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
    """What weights take beside what they take in their files, once they are cast to the type that is computed with: 16
    bits, unless 32 are asked for. Quantised ones stay as they are."""
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
    """MiB on each GPU of weights, a forward pass of this many tokens and sequences, the CUDA context, and what GPUs
    that work together exchange: all but keys and values. None where the weights are not known."""
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
    """MiB of keys and values of one request on each GPU; None where the model or its type is not known."""
    serving, model = question.serving, question.files.architecture
    # Keys and values have the type that is computed with.
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
    """What stays of linear layers in 16 bits that the engine quantises while it loads them, by the method that an
    option names; 1 for files that are quantised already."""
    model, method = question.files.architecture, question.serving.quantization
    if method is None or (model is not None and model.quantization is not None):
        return 1.0
    return parts.get(method.lower(), 1.0)


FOUR_BITS = (0.5 + 4 / 64) / 2
"""Of 16 bits, with a scale of four bytes for 64 weights (bitsandbytes)."""
EIGHT_BITS = 0.5
