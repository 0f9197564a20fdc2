"""Layer widths split by tensor parallelism, against the groups, blocks and tiles of quantised weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gputui.domain.model import Architecture
from gputui.domain.service import Service
from gputui.domain.serving import Serving

TILE = 64
"""Weights in each direction that Marlin kernels process at once (vLLM, marlin_utils)."""
NATIVE_FP8 = (8, 9)
SMALLEST_GROUP = 32
"""Groups of experts are halved down to this if they do not divide (vLLM, moe_wna16)."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Layers of this kind and width, split into `parts`, one per GPU."""

    kind: str
    width: int
    parts: int


def cuts_vision(service: Service, model: Architecture) -> bool:
    """Whether tensor parallelism splits the vision part, so that its heads must be divisible."""
    serving = service.serving
    if serving.language_only or serving.vision_whole or service.backend not in ("vllm", "sglang"):
        return False
    # InternVL's is not split if its heads do not divide (vLLM, intern_vit).
    return "intern" not in f"{model.name} {model.kind}".lower()


def cuts(model: Architecture, serving: Serving, backend: str) -> Iterator[Cut]:
    """The layers that are split. Experts are whole if they are spread over the GPUs (expert parallelism); the shared
    expert is still split."""
    tensor = serving.tensor or 1
    left_out = model.unquantised
    if model.dense_width and not _names(left_out, "mlp"):
        yield Cut("dense layers", model.dense_width, tensor)
    if model.shared_width and not _names(left_out, "shared"):
        yield Cut("shared expert", model.shared_width, tensor)
    if model.expert_width and not _names(left_out, "experts"):
        yield Cut("experts", model.expert_width, expert_parts(serving, backend))
    attention = model.heads * model.head_dim if model.heads and model.head_dim else None
    if model.in_blocks and attention and not model.kv_lora_rank and not _names(left_out, "attn"):
        yield Cut("attention", attention, serving.attention_split or tensor)


def _names(left_out: Sequence[str], part: str) -> bool:
    """Whether layers of this kind are among those left unquantised. In doubt they are."""
    return any(part in name or ("mlp" in name and part != "attn") for name in left_out)


def expert_parts(serving: Serving, backend: str) -> int:
    """How many parts one expert is split into: vLLM's experts form one group of all ranks (`FusedMoEParallelConfig`);
    SGLang and TensorRT-LLM split them among the ranks that expert parallelism leaves."""
    tensor, spread = serving.tensor or 1, serving.experts or 1
    if backend == "vllm":
        return 1 if spread > 1 else serving.expert_split or tensor
    return max(1, tensor // spread)


def group_fault(model: Architecture, serving: Serving, backend: str) -> str | None:
    """Why these parallel sizes split a group or block of quantised weights, which engines refuse."""
    group = model.group_size
    if group is None or group <= 1:
        return None
    for cut in cuts(model, serving, backend):
        if cut.parts <= 1:
            continue
        part = cut.width // cut.parts
        halves = cut.kind == "experts" and backend == "vllm" and model.quantization in ("awq", "gptq")
        smallest = min(group, SMALLEST_GROUP) if halves else group
        if cut.width % cut.parts or part % smallest:
            width = f"{part}" if cut.width % cut.parts == 0 else f"{cut.width / cut.parts:.2f}"
            return (
                f"its {cut.kind} of {cut.width} cut in {cut.parts} are {width} wide, no multiple of the {group} that "
                f"its {model.quantization or 'quantised'} weights are grouped by"
            )
    return None


def tile_fault(model: Architecture, serving: Serving, capability: tuple[int, int]) -> str | None:
    """Why fp8 does not run on a GPU without native support: the substitute kernels work in tiles, and refuse other
    widths."""
    if model.quantization != "fp8" or model.in_blocks or capability >= NATIVE_FP8:
        return None
    tensor = serving.tensor or 1
    for layers, part, width in (
        ("dense layers", "mlp", model.dense_width),
        ("shared expert", "shared", model.shared_width),
    ):
        if width and not _names(model.unquantised, part) and (2 * width // tensor) % TILE:
            return (
                f"its {layers} cut in {tensor} are {2 * width // tensor} wide (gate and up together), no multiple of "
                f"the {TILE} of the kernels that stand in for fp8 below compute capability 8.9"
            )
    return None
