"""What a service needs on each of its GPUs, and where that is known from."""

import math
from dataclasses import dataclass

from gputui.domain.model import ModelFiles
from gputui.domain.service import ClaimRule, Requirement, RequirementSource
from gputui.domain.serving import Serving
from gputui.planning.backends.backend import Backend, Question
from gputui.planning.model_memory import thumb_mib
from gputui.planning.model_name import weights_by_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of a service's need: the GPUs that it has (`gpu_total_mib` each, of which `total_mib` can be used),
    its model's files and name, a declared figure, what it holds at present, and the peak that was remembered of it once
    it had loaded; all per GPU, in MiB."""

    backend: Backend
    serving: Serving
    gpus: int
    total_mib: int | None
    gpu_total_mib: int | None = None
    files: ModelFiles | None = None
    declared_mib: int | None = None
    model: str | None = None
    present_mib: int | None = None
    peak_mib: int | None = None


def requirement(known: Evidence) -> Requirement:
    """The requirement that follows: observed before weights, weights before what was declared, and a rule of thumb
    where there is nothing else.

    For services that fill a fraction, an observation is the claim and no minimum. Of services that take what they need
    as they go the files tell less than the declaration. What a service holds while it loads is less than what it will
    need, so a larger figure from elsewhere wins until its peak is known.
    """
    minimum, source = _minimum(known)
    claims = known.backend.claim
    rule = claims(known.serving, known.total_mib, minimum) if claims else None
    if source == "declared" and not known.serving.fraction_given:
        rule = None  # somebody who knows the service knows better than what its engine does unless told
    if rule is not None and rule.of == "total" and source in ("unknown", "rule of thumb"):
        source = "declared" if known.serving.fraction_given else "rule of thumb"
    # Of an engine that takes what is free, this is what it takes of a GPU that is empty.
    claim = claim_by(rule, known.total_mib, known.total_mib) if rule else minimum
    if claim is None:
        claim = minimum
    split = known.serving.split if len(known.serving.split) == known.gpus else ()
    seen = known.present_mib
    # A peak may be that of one that only takes more on its first request, so a larger declaration stands.
    settled = known.peak_mib is not None and (claim is None or not known.backend.elastic or known.peak_mib >= claim)
    if known.peak_mib is not None:
        seen = max(known.peak_mib, seen or 0)
    if seen is not None and (settled or claim is None or seen >= claim or _depends_on_others(rule)):
        # It runs with what it was seen to hold, so it cannot need more.
        least = minimum if known.peak_mib is None or minimum is None else min(minimum, known.peak_mib)
        return Requirement(
            minimum_mib=least if rule else seen,
            claim_mib=seen,
            source="observed",
            rule=rule,
            gpu_total_mib=known.gpu_total_mib,
            split=split,
        )
    return Requirement(
        minimum_mib=minimum,
        claim_mib=claim,
        source=source,
        rule=rule,
        gpu_total_mib=None if rule else known.gpu_total_mib,
        split=split,
    )


def _depends_on_others(rule: ClaimRule | None) -> bool:
    return rule is not None and rule.of != "total"


def _minimum(known: Evidence) -> tuple[int | None, RequirementSource]:
    if known.backend.elastic and known.declared_mib is not None:
        return known.declared_mib, "declared"
    if known.files is not None and not known.files.problems:
        question = Question(
            files=known.files, serving=known.serving, gpus=max(1, known.gpus), total_mib=known.total_mib
        )
        by_weights = known.backend.minimum_mib(question)
        if by_weights is not None:
            return by_weights, "weights"
    if known.declared_mib is not None:
        return known.declared_mib, "declared"
    by_name = weights_by_name(known.model) if known.model else None
    if by_name is not None:
        world = known.serving.world or max(1, known.gpus)
        return thumb_mib(by_name) // max(1, world), "rule of thumb"
    return None, "unknown"


def claim_by(rule: ClaimRule, total_mib: int | None, free_mib: int | None) -> int | None:
    """MiB that a rule makes of a GPU with this much in all and, before the service starts, free; None where that is
    not known."""
    if rule.of == "total":
        return None if total_mib is None else math.ceil(rule.fraction * total_mib)
    if free_mib is None:
        return None
    if rule.of == "free":
        return min(free_mib, math.ceil(rule.fraction * free_mib) + rule.base_mib)
    return rule.base_mib + math.ceil(rule.fraction * max(0, free_mib - rule.base_mib))
