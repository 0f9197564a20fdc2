"""Options that make a service fit into the available memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gputui.domain.gpu import Reading
from gputui.domain.model import Architecture
from gputui.domain.service import Edit, Service
from gputui.domain.serving import Serving
from gputui.domain.units import gib
from gputui.planning.backends.backend import Question
from gputui.planning.backends.registry import named
from gputui.planning.memory_shares import usable_mib
from gputui.planning.needs.model_memory import CONTEXT_MIB, model_context
from gputui.planning.needs.requirement import minimum_by_name
from gputui.planning.needs.widths import group_fault

SMALLEST_FRACTION = 0.05
LARGEST_FRACTION = 0.92
SHORTEST_CONTEXT = 1024
"""A shorter context is of no use."""
STEP = 256
"""Suggested context lengths are multiples of this."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A suggestion in words, and the changed arguments that carry it out."""

    text: str
    edits: tuple[Edit, ...] = ()


def fraction_for(free_mib: int, total_mib: int) -> float:
    """The largest fraction of the total that is free once the CUDA context exists, rounded down to a hundredth."""
    return min(LARGEST_FRACTION, max(0, free_mib - CONTEXT_MIB) * 100 // total_mib / 100)


def fit_into(
    service: Service,
    reading: Reading,
    free_mib: int,
    readings: Sequence[Reading],
    free_by_uuid: Mapping[str, int | None],
) -> Fit | None:
    """Options that make a service fit into `free_mib` on this GPU: a smaller fraction, a shorter context, or more GPUs.

    None if there are none, or too little is known of the model.
    """
    backend = named(service.backend)
    total = usable_mib(reading)
    if total is None or service.budget_mib is not None:
        return None
    minimum = _minimum(service, total)
    limit = free_mib
    edits: list[Edit] = []
    if backend.memory_flag and service.requirement.rule is not None:
        fraction = fraction_for(free_mib, total)
        limit = int(fraction * total)
        if fraction < SMALLEST_FRACTION:
            return _more_gpus(service, readings, free_by_uuid)
        edits.append(_edit(backend.memory_flag, f"{fraction:.2f}", f"{gib(free_mib)} GiB are free"))
    if minimum is None:
        if not edits:
            return None
        return Fit(f"{_flags_text(edits)} takes what is free, if its model fits in it", tuple(edits))
    if edits and minimum <= limit:
        return Fit(f"{_flags_text(edits)} would fit here", tuple(edits))
    context = longest_context(service, total, limit)
    if context is not None:
        edits.append(_edit(backend.context_flag, str(context), f"its cache has to fit into {gib(limit)} GiB"))
        return Fit(f"{_flags_text(edits)} would fit here", tuple(edits))
    return _more_gpus(service, readings, free_by_uuid)


def larger_fraction(service: Service, reading: Reading, readings: Sequence[Reading]) -> Fit:
    """A suggestion for a service whose fraction of the GPU is less than its model needs."""
    backend = named(service.backend)
    total, minimum = usable_mib(reading), service.requirement.minimum_mib
    if total and minimum is not None and backend.memory_flag:
        fraction = -(-minimum * 100 // total) / 100
        if fraction <= LARGEST_FRACTION:
            edit = _edit(backend.memory_flag, f"{fraction:.2f}", f"its model needs {gib(minimum)} GiB")
            return Fit(f"{_flags_text([edit])} is the least that it needs", (edit,))
        limit = int(LARGEST_FRACTION * total)
        context = longest_context(service, total, limit)
        if context is not None:
            edits = (
                _edit(backend.memory_flag, f"{LARGEST_FRACTION:.2f}", "nearly the whole GPU"),
                _edit(backend.context_flag, str(context), f"its cache has to fit into {gib(limit)} GiB"),
            )
            return Fit(f"{_flags_text(edits)} would fit here", edits)
    more_gpus = _more_gpus(service, readings, {candidate.gpu.uuid: usable_mib(candidate) for candidate in readings})
    return more_gpus or Fit("give it a larger GPU, or more of them")


def longest_context(service: Service, total_mib: int, limit_mib: int) -> int | None:
    """The longest context that keeps the service's minimum within the limit; None if there is none, or it is
    unknown."""
    backend = named(service.backend)
    model = service.files.architecture if service.files else None
    model_limit = model_context(model, service.serving, keeps_original=named(service.backend).keeps_original_context)
    longest = min((limit for limit in (service.serving.context, model_limit) if limit), default=None)
    if not backend.context_flag or longest is None or model is None or service.serving.context_fits:
        return None

    def needs(tokens: int) -> int | None:
        return _minimum(service, total_mib, context=tokens)

    shortest = needs(SHORTEST_CONTEXT)
    if shortest is None or shortest > limit_mib or shortest == needs(longest):
        return None
    low, high = SHORTEST_CONTEXT // STEP, longest // STEP
    while low < high:
        middle = (low + high + 1) // 2
        need = needs(middle * STEP)
        if need is not None and need <= limit_mib:
            low = middle
        else:
            high = middle - 1
    return low * STEP


def _minimum(service: Service, total_mib: int, *, context: int | None = None, tensor: int | None = None) -> int | None:
    """The minimum according to the model's files, with another context or tensor-parallel size."""
    serving = service.serving
    if service.files is None or service.files.problems or service.files.unread:
        if tensor is not None and _is_by_name(service):
            serving = replace(serving, tensor=tensor, world=_world(serving, tensor))
            return minimum_by_name(named(service.backend), service.model, serving, tensor)
        return service.requirement.minimum_mib if context is None and tensor is None else None
    if context is not None:
        serving = replace(serving, context=context)
    gpus = max(1, len(service.assigned))
    if tensor is not None:
        world = _world(serving, tensor)
        split = serving.expert_split and serving.expert_split // (serving.tensor or 1) * tensor
        serving, gpus = replace(serving, tensor=tensor, world=world, expert_split=split), world
    question = Question(files=service.files, serving=serving, gpus=gpus, total_mib=total_mib)
    return named(service.backend).minimum_mib(question)


def _is_by_name(service: Service) -> bool:
    """Whether its need is derived from its model's name, because none of its files was read."""
    by_name = service.files is None and service.declared_mib is None and service.requirement.source != "observed"
    return by_name and minimum_by_name(named(service.backend), service.model, service.serving, 1) is not None


def _world(serving: Serving, tensor: int) -> int:
    """The total number of GPUs at another tensor-parallel size."""
    return tensor * (serving.pipeline or 1) * (serving.data or 1)


def smallest_tensor_size(
    service: Service, readings: Sequence[Reading], free_by_uuid: Mapping[str, int | None]
) -> tuple[int, tuple[str, ...]] | None:
    """The smallest tensor-parallel size that the model allows and that fits, and the labels of equal GPUs with enough
    headroom."""
    model = service.files.architecture if service.files else None
    if not named(service.backend).tensor_flag or not (_is_by_name(service) or (model and model.heads)):
        return None
    kinds: dict[tuple[str, int | None], list[Reading]] = {}
    for reading in readings:
        if reading.gpu.assignable and reading.gpu.mig_index is None and reading.state == "ok":
            kinds.setdefault((reading.gpu.name, reading.gpu.memory_total_mib), []).append(reading)
    for tensor in (2, 4, 8, 16):
        serving = replace(service.serving, tensor=tensor)
        if tensor <= (service.serving.tensor or 1) or not (model is None or _divides(model, serving, service.backend)):
            continue
        world = _world(serving, tensor)
        for alike in kinds.values():
            total = usable_mib(alike[0])
            need = _minimum(service, total, tensor=tensor) if total else None
            if total is None or need is None or need > LARGEST_FRACTION * total:
                continue
            roomy = [reading.gpu.label for reading in alike if (free_by_uuid.get(reading.gpu.uuid) or 0) >= need]
            if len(roomy) >= world:
                return tensor, tuple(roomy[:world])
    return None


def _divides(model: Architecture, serving: Serving, backend: str) -> bool:
    """Whether heads and quantised widths can be split this way."""
    tensor, kv = serving.attention_split or serving.tensor or 1, model.kv_heads or 1
    if model.heads and model.heads % tensor:
        return False
    if not model.kv_lora_rank and kv % tensor and tensor % kv:
        return False
    vision_whole = serving.language_only or serving.vision_whole or not model.vision_heads
    if not vision_whole and model.vision_heads and model.vision_heads % tensor:
        return False
    return group_fault(model, serving, backend) is None


def _more_gpus(service: Service, readings: Sequence[Reading], free_by_uuid: Mapping[str, int | None]) -> Fit | None:
    size_and_labels = smallest_tensor_size(service, readings, free_by_uuid)
    if size_and_labels is None:
        return None
    tensor, labels = size_and_labels
    flag = named(service.backend).tensor_flag
    edit = _edit(flag, str(tensor), f"the smallest size with which it fits on GPUs {','.join(labels)}")
    by_name = " by the size in its name" if _is_by_name(service) else ""
    return Fit(f"{_flags_text([edit])} on {len(labels)} GPUs would fit{by_name}, as on {','.join(labels)}", (edit,))


def _edit(flag: str, value: str, reason: str) -> Edit:
    return Edit(argument=flag, value=value, reason=reason)


def _flags_text(edits: Sequence[Edit]) -> str:
    return " ".join(f"{edit.argument} {edit.value}" for edit in edits)
