"""Programs that allocate on demand: PyTorch scripts, ComfyUI, Triton, Ollama, embedding servers, anything else. Their
maximum can only be declared or observed."""

from collections.abc import Mapping

from gputui.domain.serving import Serving
from gputui.planning.backends.backend import Backend, Question, Reader
from gputui.planning.command_options import CommandLine, read_options
from gputui.planning.needs.model_memory import MIB

_ALIASES = {
    "--nproc-per-node": ("--nproc_per_node",),
    "--num-processes": ("--num_processes",),
}
_VARIABLES = {"--nproc-per-node": ("NPROC_PER_NODE",)}


def read_serving(line: CommandLine, environment: Mapping[str, str], gpus: int) -> Serving:
    """How many processes torchrun or accelerate starts; each uses its own GPU."""
    del gpus
    launched = any(
        word.rsplit("/", 1)[-1] in ("torchrun", "accelerate", "torch.distributed.run") for word in line.words
    )
    if not launched:
        return Serving(world=None)
    options = read_options(line, environment, _ALIASES, _VARIABLES)
    read = Reader.of(options)
    text = options.text("--nproc-per-node") or options.text("--num-processes")
    if text in ("gpu", "auto", None):
        return Serving(world=None)
    name = "--nproc-per-node" if options.text("--nproc-per-node") else "--num-processes"
    return Serving(world=read.size(name, None), unread=tuple(read.unread), invalid=tuple(read.invalid))


def minimum_mib(question: Question) -> int | None:
    """The usual allowance over the weights (GPUStack, for models that are not language models: × 1.2 and 512 MiB)."""
    if question.files.weights_bytes is None:
        return None
    return int(question.files.weights_bytes * 1.2) // MIB + 512


PYTORCH = Backend(
    name="pytorch",
    order=80,
    images=r"pytorch|torch|comfyui|tritonserver",
    marks=("pytorch", "torchrun", "torch", "comfyui", "tritonserver"),
    serving=read_serving,
    minimum_mib=minimum_mib,
    elastic=True,
)


def _takes_what_it_is_given(line: CommandLine, environment: Mapping[str, str], gpus: int) -> Serving:
    del line, environment, gpus
    return Serving(world=None)


OLLAMA = Backend(
    name="ollama",
    order=70,
    marks=("ollama",),
    images=r"ollama",
    official_images=r"(^|/)ollama/",
    serving=_takes_what_it_is_given,
    minimum_mib=minimum_mib,
    elastic=True,
    reports_memory=True,
)
"""Loads models on demand: on one GPU if the model fits, else on all (server/sched.go)."""
TEI = Backend(
    name="tei",
    order=45,
    images=r"text-embeddings-inference",
    official_images=r"(^|/)huggingface/",
    loads_model=True,
    marks=("text-embeddings-router", "text-embeddings-inference"),
    serving=_takes_what_it_is_given,
    minimum_mib=minimum_mib,
    elastic=True,
)
"""Its warm-up takes as much as the longest batch needs, which depends on the kernels in its image."""
GENERIC = Backend(name="generic", order=90, marks=(), serving=read_serving, minimum_mib=minimum_mib, elastic=True)
