"""Edits of a draft, and what two operators made of the same service."""

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
    """What a service is assigned now."""
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
    """A container that gputui found is not its to change before somebody says so."""
    return service.origin == "found" and not service.adopted


def parse_gpus(text: str, gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """The UUIDs that `0,2`, `4-7`, `GPU-uuid…`, `all` (the whole ones) or `none` mean, in that order.

    Raises:
        UsageError: no such GPU, or one named twice.
        Refusal: a GPU that is cut into MIG instances, or an instance beside another GPU.
    """
    if text.strip().lower() == "none":
        return ()
    if text.strip().lower() == "all":
        return tuple(gpu.uuid for gpu in gpus if gpu.assignable and gpu.parent_uuid is None)
    chosen: list[Gpu] = []
    for name in out_of_runs(text):
        gpu = find_gpu(gpus, name)
        if gpu is None:
            known = ", ".join(one.label for one in gpus) or "none"
            raise UsageError(f"there is no GPU “{clean(name.strip(), 60)}”", f"GPUs on this host: {known}")
        if not gpu.assignable:
            raise Refusal(f"GPU {gpu.label} is cut into MIG instances", f"name one of them, as in {gpu.label}:0")
        if gpu in chosen:
            raise UsageError(f"GPU {gpu.label} is named twice", "name each GPU once")
        chosen.append(gpu)
    check_instances(chosen)
    return tuple(gpu.uuid for gpu in chosen)


def toggled(service: Service, gpu: Gpu, gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """The service's GPUs with this one of `gpus` appended, or taken away where it has it.

    Raises:
        Refusal: the GPU is cut into MIG instances, or the service has an instance.
    """
    if not gpu.assignable:
        raise Refusal(f"GPU {gpu.label} is cut into MIG instances", "choose one of its instances with enter")
    if gpu.uuid in service.assigned:
        return tuple(uuid for uuid in service.assigned if uuid != gpu.uuid)
    check_instances([*(one for one in gpus if one.uuid in service.assigned), gpu])
    return (*service.assigned, gpu.uuid)


def with_gpus(draft: Draft, service: Service, gpus: tuple[str, ...]) -> Draft:
    """The draft in which the service has these GPUs; the first GPU given to one that never ran enables it."""
    before = current_assignment(service)
    enabled = before.enabled or (service.container is None and bool(gpus))
    return draft.edited(replace(before, gpus=gpus, enabled=enabled, adopted=True))


def with_suggestion(
    draft: Draft,
    strategy: str,
    services: Mapping[ServiceKey, Service],
    suggested: Sequence[SuggestedAssignment],
    unplaced: Sequence[ServiceKey] = (),
) -> Draft:
    """The draft in which the services have what is suggested for them, and those that find no place are disabled, as
    one edit."""
    current = draft.current
    for key in unplaced:
        if key in services:
            current = current.having(replace(current_assignment(services[key]), enabled=False, adopted=True))
    for one in suggested:
        service = services.get(one.service)
        if service is None:
            continue
        before = current_assignment(service)
        enabled = before.enabled or service.container is None
        after = replace(before, gpus=one.gpus, budget_mib=one.budget_mib, enabled=enabled, adopted=True)
        current = current.having(after)
    if current is draft.current:
        return draft
    return draft.changed_to(replace(current, strategy=strategy))


def with_all(draft: Draft, services: Sequence[Service], wanted: Assignments) -> Draft:
    """The draft in which every service that `wanted` names is assigned as it says, as one edit."""
    known = {service.key: service for service in services}
    current = draft.current
    for item in wanted.items:
        service = known.get(item.key)
        wished = replace(item, adopted=True)
        if service is not None and wished != replace(current_assignment(service), adopted=True):
            current = current.having(wished)
    if current is draft.current:
        return draft
    return draft.changed_to(replace(current, strategy=wanted.strategy))


def _known(service: Service) -> Assignment:
    """What a service is assigned now, to be changed in something else than its GPUs.

    Raises:
        Refusal: its GPUs cannot be told (it asked for a number of them, and uses none yet), and nobody named them.
    """
    if service.container is not None and service.requested is None and not service.assigned and not service.adopted:
        raise Refusal(f"which GPUs {service.name} was given cannot be told", "assign it GPUs first")
    return current_assignment(service)


def with_enabled(draft: Draft, service: Service, enabled: bool) -> Draft:
    """The draft in which the service is to run, or not."""
    return draft.edited(replace(_known(service), enabled=enabled, adopted=True))


def with_budget(draft: Draft, service: Service, budget_mib: int | None) -> Draft:
    """The draft in which the service has this VRAM budget."""
    return draft.edited(replace(_known(service), budget_mib=budget_mib, adopted=True))


def with_fitting_budget(draft: Draft, before: Service, now: Service, readings: Sequence[Reading]) -> Draft:
    """The draft in which a service that has other GPUs by now has a budget that they allow."""
    wanted = budget_on(now, readings, before.assigned)
    if now.assigned == before.assigned or wanted == now.budget_mib:
        return draft
    return draft.edited(replace(current_assignment(now), budget_mib=wanted, adopted=True))


def with_priority(draft: Draft, service: Service, priority: int | None) -> Draft:
    """The draft in which the service has this priority; None: that of its Compose file."""
    return draft.edited(replace(_known(service), priority=priority, adopted=True))


def with_arguments(draft: Draft, service: Service, edits: Sequence[Edit]) -> Draft:
    """The draft in which arguments of the service are changed, all of them as one edit.

    Raises:
        Refusal: its command is a script that cannot be changed in this way.
        UsageError: the value is none that a command line can have.
    """
    for edit in edits:
        if edit.value is not None and clean(edit.value) != edit.value:
            raise UsageError(f"the value of {edit.argument} has control characters in it", "write it without")
        with_argument_in(service.launch.words, edit.argument, edit.value)
    before = _known(service)
    changed = {edit.argument: edit for edit in (*before.edits, *edits)}
    return draft.edited(replace(before, edits=tuple(changed.values()), adopted=True))


def conflict_text(draft: Draft, gpus: Sequence[Gpu]) -> str:
    """For each service in conflict what the other operator saved, and what is edited here."""
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
