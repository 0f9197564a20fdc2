"""Edits of a draft, and conflicts between two operators."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gputui.domain.assignment import Assignment, Assignments, Draft
from gputui.domain.errors import Refusal, UsageError
from gputui.domain.gpu import Gpu, Reading, labels_of, out_of_runs
from gputui.domain.service import Edit, Service, ServiceKey, distinct_names
from gputui.domain.suggestion import SuggestedAssignment
from gputui.domain.text import clean
from gputui.planning.changes.argument_edit import with_argument as with_argument_in
from gputui.planning.changes.container_view import check_instances
from gputui.planning.changes.spec_edit import edits_text, gib_down
from gputui.planning.given_gpus import find_gpu
from gputui.planning.needs.budget import budget_on


def current_assignment(service: Service) -> Assignment:
    """The present assignment of a service."""
    return Assignment(
        key=service.key,
        gpus=service.assigned,
        enabled=service.enabled,
        adopted=service.adopted,
        budget_mib=service.budget_mib,
        edits=service.edits,
        priority=service.priority_set,
    )


def needs_adoption(service: Service) -> bool:
    """Whether it is an unmanaged container, which gputui must not change before it is adopted."""
    return service.origin == "found" and not service.adopted


def parse_gpus(text: str, gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """The UUIDs for `0,2`, `4-7`, `GPU-uuid…`, `all` (the whole ones) or `none`, in that order.

    Raises:
        UsageError: no such GPU, or one named twice.
        Refusal: a GPU that is split into MIG instances, or an instance beside another GPU.
    """
    if text.strip().lower() == "none":
        return ()
    if text.strip().lower() == "all":
        return tuple(gpu.uuid for gpu in gpus if gpu.assignable and gpu.parent_uuid is None)
    chosen: list[Gpu] = []
    for name in out_of_runs(text):
        gpu = find_gpu(gpus, name)
        if gpu is None:
            labels = ", ".join(host_gpu.label for host_gpu in gpus) or "none"
            raise UsageError(f"there is no GPU “{clean(name.strip(), 60)}”", f"GPUs on this host: {labels}")
        if not gpu.assignable:
            raise Refusal(f"GPU {gpu.label} is divided into MIG instances", f"name one of them, as in {gpu.label}:0")
        if gpu in chosen:
            raise UsageError(f"GPU {gpu.label} is named twice", "name each GPU once")
        chosen.append(gpu)
    check_instances(chosen)
    return tuple(gpu.uuid for gpu in chosen)


def toggled(service: Service, gpu: Gpu, gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """The service's GPUs with this one of `gpus` appended, or removed if it has it.

    Raises:
        Refusal: the GPU is split into MIG instances, or the service has an instance.
    """
    if not gpu.assignable:
        raise Refusal(f"GPU {gpu.label} is divided into MIG instances", "choose one of its instances with enter")
    if gpu.uuid in service.assigned:
        return tuple(uuid for uuid in service.assigned if uuid != gpu.uuid)
    check_instances([*(candidate for candidate in gpus if candidate.uuid in service.assigned), gpu])
    return (*service.assigned, gpu.uuid)


def with_gpus(draft: Draft, service: Service, gpus: tuple[str, ...]) -> Draft:
    """The draft with these GPUs for the service; the first GPU of a service that never ran enables it."""
    assignment = current_assignment(service)
    enabled = assignment.enabled or (service.container is None and bool(gpus))
    return draft.edited(replace(assignment, gpus=gpus, enabled=enabled, adopted=True))


def with_suggestion(
    draft: Draft,
    strategy: str,
    services: Mapping[ServiceKey, Service],
    suggested: Sequence[SuggestedAssignment],
    unplaced: Sequence[ServiceKey] = (),
) -> Draft:
    """The draft with the suggested assignments, and with services without a place disabled, as one edit."""
    current = draft.current
    for key in unplaced:
        if key in services:
            current = current.having(replace(current_assignment(services[key]), enabled=False, adopted=True))
    for suggestion in suggested:
        service = services.get(suggestion.service)
        if service is None:
            continue
        assignment = current_assignment(service)
        enabled = assignment.enabled or service.container is None
        suggested_assignment = replace(
            assignment, gpus=suggestion.gpus, budget_mib=suggestion.budget_mib, enabled=enabled, adopted=True
        )
        current = current.having(suggested_assignment)
    if current is draft.current:
        return draft
    return draft.changed_to(replace(current, strategy=strategy))


def with_all(draft: Draft, services: Sequence[Service], target: Assignments) -> Draft:
    """The draft in which every service in `target` is assigned as there, as one edit."""
    by_key = {service.key: service for service in services}
    current = draft.current
    for item in target.items:
        service = by_key.get(item.key)
        wished = replace(item, adopted=True)
        if service is not None and wished != replace(current_assignment(service), adopted=True):
            current = current.having(wished)
    if current is draft.current:
        return draft
    return draft.changed_to(replace(current, strategy=target.strategy))


def _editable_assignment(service: Service) -> Assignment:
    """The present assignment of a service, to change something other than its GPUs.

    Raises:
        Refusal: its GPUs are unknown (it requested a number of them, and uses none yet), and nobody named them.
    """
    if service.container is not None and service.requested is None and not service.assigned and not service.adopted:
        raise Refusal(f"which GPUs {service.name} was given cannot be told", "assign it GPUs first")
    return current_assignment(service)


def with_enabled(draft: Draft, service: Service, enabled: bool) -> Draft:
    """The draft with the service enabled or disabled."""
    return draft.edited(replace(_editable_assignment(service), enabled=enabled, adopted=True))


def with_budget(draft: Draft, service: Service, budget_mib: int | None) -> Draft:
    """The draft with this VRAM budget for the service."""
    return draft.edited(replace(_editable_assignment(service), budget_mib=budget_mib, adopted=True))


def with_fitting_budget(draft: Draft, previous: Service, current: Service, readings: Sequence[Reading]) -> Draft:
    """The draft with a budget that fits the new GPUs of a service."""
    budget_mib = budget_on(current, readings, previous.assigned)
    if current.assigned == previous.assigned or budget_mib == current.budget_mib:
        return draft
    return draft.edited(replace(current_assignment(current), budget_mib=budget_mib, adopted=True))


def with_priority(draft: Draft, service: Service, priority: int | None) -> Draft:
    """The draft with this priority for the service; None: that of its Compose file."""
    return draft.edited(replace(_editable_assignment(service), priority=priority, adopted=True))


def with_arguments(draft: Draft, service: Service, edits: Sequence[Edit]) -> Draft:
    """The draft with changed arguments of the service, all as one edit.

    Raises:
        Refusal: its command is a script that cannot be edited this way.
        UsageError: the value is not one that a command line can have.
    """
    for edit in edits:
        if edit.value is not None and clean(edit.value) != edit.value:
            raise UsageError(f"the value of {edit.argument} has control characters in it", "write it without")
        with_argument_in(service.launch.words, edit.argument, edit.value)
    assignment = _editable_assignment(service)
    changed = {edit.argument: edit for edit in (*assignment.edits, *edits)}
    return draft.edited(replace(assignment, edits=tuple(changed.values()), adopted=True))


def conflict_text(draft: Draft, gpus: Sequence[Gpu]) -> str:
    """For each service in conflict, what the other operator saved and what was edited here."""
    lines = []
    names = distinct_names({*draft.conflicts, *(item.key for item in draft.saved.items)})
    for key in draft.conflicts:
        theirs, mine = draft.saved.of(key), draft.current.of(key)
        lines.append(f"{names[key]} is {_described(theirs, gpus)} now; yours is {_described(mine, gpus)}")
    return f"{draft.saved.author} saved revision {draft.saved.revision} meanwhile: " + "; ".join(lines)


def _described(item: Assignment | None, gpus: Sequence[Gpu]) -> str:
    if item is None:
        return "not assigned"
    parts = [f"GPUs {labels_of(item.gpus, gpus)}"]
    if not item.enabled:
        parts.append("disabled")
    if item.budget_mib is not None:
        parts.append(f"budget {gib_down(item.budget_mib)} GiB")
    if item.priority is not None:
        parts.append(f"priority {item.priority}")
    if item.edits:
        parts.append(edits_text(item.edits))
    return ", ".join(parts)
