"""What a service needs on each of its GPUs, and the source of that figure."""

import math
from dataclasses import dataclass

from gputui.domain.model import ModelFiles
from gputui.domain.observation import Measured
from gputui.domain.service import ClaimRule, Requirement, RequirementSource
from gputui.domain.serving import Serving
from gputui.planning.backends.backend import Backend, Question
from gputui.planning.needs.model_memory import kv_bits, thumb_mib, up
from gputui.planning.needs.model_name import names_experts, weights_by_name

BESIDE_WEIGHTS_MIB = 2560
"""Beside its weights, an engine for a model of 7 to 72 billion parameters takes 2 to 3 GiB of a GPU before it has any
cache to speak of (vLLM's log: 0.5 context, 1 to 1.5 activations, 0.5 to 1 graphs)."""
SMALLEST_BESIDE_MIB = 1024
"""The same for the smallest models: a context and minimal activations."""
NEARLY = 0.9
"""An engine seen holding this fraction of what its flags allow has loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of a service's need: its number of GPUs (`gpu_total_mib` each, of which `total_mib` is usable;
    `totals_mib` lists them), its model's files and name, a declared figure, what it holds at present, and the peak
    remembered once it had loaded; all per GPU, in MiB."""

    backend: Backend
    serving: Serving
    gpus: int
    total_mib: int | None
    gpu_total_mib: int | None = None
    totals_mib: tuple[int, ...] = ()
    files: ModelFiles | None = None
    declared_mib: int | None = None
    model: str | None = None
    present_mib: int | None = None
    peak_mib: int | None = None
    measured: Measured | None = None


def requirement(evidence: Evidence) -> Requirement:
    """The requirement that follows: observation before weights, weights before declaration, and a rule of thumb if
    there is nothing else.

    For services that fill a fraction, an observation is the claim, not the minimum. For elastic services the
    declaration says more than the files. What a service holds while loading is less than what it will need, so a larger
    figure from elsewhere wins until its peak is known.
    """
    question = _question(evidence)
    weights_mib = _weights_mib(evidence.backend, question)
    minimum, source = _minimum(evidence, question, weights_mib)
    serving, claims = evidence.serving, evidence.backend.claim
    if claims and minimum is not None and evidence.peak_mib is not None:
        minimum = min(minimum, evidence.peak_mib)  # it ran with that much, so it needs no more
    rule = claims(serving, evidence.total_mib, minimum) if claims else None
    if source == "declared" and not serving.fraction_given:
        rule = None  # a declaration beats the engine's default
    if rule is not None and rule.of == "total" and source in ("unknown", "rule of thumb"):
        source = "declared" if serving.fraction_given else "rule of thumb"
    # For an engine that takes what is free, this is its claim on an empty GPU.
    claim = claim_by(rule, evidence.total_mib, evidence.total_mib) if rule else minimum
    if rule is None and claims is not None and not serving.fraction_known:
        claim = None  # its fraction is unknown
    split = _parts(evidence, question) if source in ("weights", "rule of thumb") else ()
    split = split or (serving.split if len(serving.split) == evidence.gpus else ())
    observed_mib = _observed_mib(evidence, rule, claim)
    if observed_mib is not None:
        return Requirement(
            minimum_mib=minimum if claims else observed_mib,
            claim_mib=observed_mib,
            source="observed",
            rule=rule,
            gpu_total_mib=evidence.gpu_total_mib,
            split=split,
            weights_mib=weights_mib,
        )
    not_counted = serving.beside
    if evidence.files is not None and evidence.files.architecture is not None and evidence.files.architecture.sees:
        pictures = evidence.backend.takes_pictures and not serving.language_only
        not_counted = (*not_counted, *(("multimodal inputs",) if pictures else ()))
    return Requirement(
        minimum_mib=minimum,
        claim_mib=claim,
        source=source,
        rule=rule,
        gpu_total_mib=None if rule else evidence.gpu_total_mib,
        split=split,
        not_counted=not_counted if source in ("weights", "rule of thumb") else (),
        weights_mib=weights_mib,
    )


def _question(evidence: Evidence) -> Question | None:
    """None if the files do not tell enough."""
    files = evidence.files
    if files is None or files.problems or files.unread:
        return None
    gpus = max(1, evidence.gpus)
    totals = evidence.totals_mib if len(evidence.totals_mib) == gpus else ()
    return Question(files=files, serving=evidence.serving, gpus=gpus, total_mib=evidence.total_mib, totals_mib=totals)


def _parts(evidence: Evidence, question: Question | None) -> tuple[float, ...]:
    if question is None or evidence.backend.parts is None:
        return ()
    shares = evidence.backend.parts(question)
    return shares if len(shares) == evidence.gpus else ()


def _observed_mib(evidence: Evidence, rule: ClaimRule | None, claim: int | None) -> int | None:
    """What was observed, if that says more than anything else.

    For an engine that takes what is free only its present memory counts: a peak depended on who else was there. A peak
    below its share of the total was seen before the engine had loaded, and one below the declared figure before the
    first request of an elastic service.
    """
    if rule is not None and rule.of != "total":
        return evidence.present_mib
    observed_mib = max(
        (amount for amount in (evidence.peak_mib, evidence.present_mib) if amount is not None), default=None
    )
    if observed_mib is None or claim is None:
        return observed_mib
    trusted = evidence.peak_mib is not None and rule is None and not evidence.backend.elastic
    return observed_mib if trusted or observed_mib >= claim * NEARLY else None


def _minimum(
    evidence: Evidence, question: Question | None, weights_mib: int | None
) -> tuple[int | None, RequirementSource]:
    if evidence.backend.elastic and evidence.declared_mib is not None:
        return evidence.declared_mib, "declared"
    by_files = evidence.backend.minimum_mib(question) if question else None
    by_weights = _corrected(by_files, weights_mib, evidence.measured)
    if by_weights is not None:
        # There is no rule for what an elastic program takes beside its weights.
        return by_weights, "rule of thumb" if evidence.backend.elastic else "weights"
    if evidence.declared_mib is not None:
        return evidence.declared_mib, "declared"
    if question is not None and not _has_known_cache(evidence.serving):
        return None, "unknown"
    weights = question.files.weights_bytes if question else None
    if weights is None:
        minimum = minimum_by_name(evidence.backend, evidence.model, evidence.serving, evidence.gpus)
    else:
        minimum = _thumb_mib(evidence.backend, weights, _of_one_copy(evidence.model, evidence.serving, evidence.gpus))
    return minimum, "unknown" if minimum is None else "rule of thumb"


def minimum_by_name(backend: Backend, model: str | None, serving: Serving, gpus: int) -> int | None:
    """MiB that a model of this name needs on each GPU, by the rule of thumb; None if its name implies no size."""
    weights = weights_by_name(f"{model} {serving.quantization or ''}") if model else None
    return None if weights is None else _thumb_mib(backend, weights, _of_one_copy(model, serving, gpus))


def _of_one_copy(model: str | None, serving: Serving, gpus: int) -> int:
    """The number of GPUs that one copy of the weights is spread over: data parallelism makes copies, except of experts,
    which are nearly all of a model that has them."""
    one_copy = None if serving.tensor is None or serving.world is None else serving.tensor * (serving.pipeline or 1)
    if model is not None and names_experts(model) and serving.expert_split and one_copy is not None:
        one_copy = max(one_copy, serving.expert_split)
    return one_copy or serving.world or gpus


def _thumb_mib(backend: Backend, weights: int, world: int) -> int:
    """For an engine that splits the weights evenly and fits its cache into the rest: its share of them plus an empty
    cache, a CUDA context and activations; else the rule of thumb for the whole."""
    part = up(weights // max(1, world))
    if not backend.tensor_flag:
        return thumb_mib(weights) // max(1, world)
    return part + min(BESIDE_WEIGHTS_MIB, SMALLEST_BESIDE_MIB + part // 8)


def _weights_mib(backend: Backend, question: Question | None) -> int | None:
    """Weights on each GPU by the model's files; None if they do not tell, or the backend measures otherwise."""
    return None if question is None or backend.weights is None else backend.weights(question)


def _corrected(minimum: int | None, predicted: int | None, measured: Measured | None) -> int | None:
    """The minimum, with the weights that the service logged in place of those of the files."""
    if minimum is None or predicted is None or measured is None or measured.weights_mib is None:
        return minimum
    return max(1, minimum + measured.weights_mib - predicted)


def _has_known_cache(serving: Serving) -> bool:
    """Whether the width of cached values is known; otherwise no rule of thumb applies."""
    return kv_bits(serving.kv_dtype, None) is not None and kv_bits(serving.kv_dtype_v, None) is not None


def claim_by(rule: ClaimRule, total_mib: int | None, free_mib: int | None) -> int | None:
    """MiB that a rule takes of a GPU with this much memory in total and, before the service starts, free; None if
    unknown."""
    if rule.of == "total":
        return None if total_mib is None else math.ceil(rule.fraction * total_mib)
    if free_mib is None:
        return None
    if rule.of == "free":
        return min(free_mib, math.ceil(rule.fraction * free_mib) + rule.base_mib)
    return rule.base_mib + math.ceil(rule.fraction * max(0, free_mib - rule.base_mib))
