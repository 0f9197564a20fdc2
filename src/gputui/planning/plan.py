"""The plan: the difference between what is assigned and what runs, as one step per service."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Literal

from gputui.domain.container import LABEL_BUDGET, LABEL_EDITS
from gputui.domain.errors import GputuiError, UsageError
from gputui.domain.finding import Finding
from gputui.domain.gpu import Gpu
from gputui.domain.plan import Action, ContainerView, Plan, Step
from gputui.domain.service import Service
from gputui.domain.text import mask_secret
from gputui.planning.budget import all_edits
from gputui.planning.container_view import container_view
from gputui.planning.findings.ownership import not_ours
from gputui.planning.given_gpus import uses_gpus
from gputui.planning.spec_edit import edits_mark, edits_text, gib_down


def make_plan(
    services: Sequence[Service],
    gpus: Sequence[Gpu],
    findings: Sequence[Finding],
    *,
    revision: int,
    only: Collection[str] = (),
) -> Plan:
    """What an apply would do, in order, for all services or `only` those named.

    Raises:
        UsageError: a name in `only` is no service.
    """
    chosen = select(services, only) if only else list(services)
    steps = [_step(service, gpus) for service in chosen]
    names = {service.name for service in chosen if service.adopted or service.container is None}
    relevant = tuple(one for one in findings if one.service in names or one.service is None)
    return Plan(revision=revision, steps=tuple(_in_order(steps, chosen)), findings=relevant)


def lifecycle_plan(
    services: Sequence[Service],
    gpus: Sequence[Gpu],
    names: Collection[str],
    action: Literal["restart", "start", "stop"],
    *,
    revision: int,
) -> Plan:
    """A plan that restarts, starts or stops the named services as they are.

    Raises:
        UsageError: a name is no service, or has no container yet.
    """
    steps = []
    for service in select(services, names):
        if service.container is None:
            raise UsageError(f"{service.name} has no container yet", "create it with `gputui apply`")
        done = (action == "start" and service.running) or (action == "stop" and service.state in ("exited", "created"))
        steps.append(
            Step(
                action="none" if done else action,
                service=service.key,
                name=service.name,
                cause=f"already {service.state}" if done else f"{action} was asked for",
                container_id=service.container.id,
                view=_view_as_it_is(service, gpus),
            )
        )
    touched = {step.service for step in steps if step.action != "none"}
    findings = not_ours([replace(one, adopted=True) for one in services if one.key in touched])
    return Plan(revision=revision, steps=tuple(steps), findings=tuple(findings))


def select(services: Sequence[Service], names: Collection[str]) -> list[Service]:
    """The services of these names; `project/name` tells apart what has the same name.

    Raises:
        UsageError: there is none of that name, or several.
    """
    chosen = []
    for name in names:
        hits = [one for one in services if name in (one.name, f"{one.key.project}/{one.name}")]
        if not hits:
            known = ", ".join(service.name for service in services[:8]) or "none"
            raise UsageError(f"there is no service “{name}”", f"services: {known}")
        if len(hits) > 1:
            names_ = " or ".join(f"{one.key.project or '(no project)'}/{one.name}" for one in hits)
            raise UsageError(f"several services are called “{name}”", f"say {names_}")
        chosen.append(hits[0])
    return chosen


def _step(service: Service, gpus: Sequence[Gpu]) -> Step:
    action, cause = _action(service, gpus)
    container = service.container
    view = None
    if action in ("create", "recreate"):
        view = _view(service, gpus, service.assigned)
    elif action != "none":
        view = _view_as_it_is(service, gpus)
    return Step(
        action=action,
        service=service.key,
        name=service.name,
        cause=cause,
        container_id=container.id if container else None,
        view=view,
        budget_mib=service.budget_mib,
        budget_env=service.budget_env,
        edits=all_edits(service, gpus),
        diff=_diff(service, view, gpus) if view and action in ("create", "recreate") else (),
    )


def _view(service: Service, gpus: Sequence[Gpu], wanted: Sequence[str]) -> ContainerView | None:
    """None where a GPU of it is gone: a finding tells so, and there is nothing to confirm it by."""
    sees_all = bool(service.container and service.container.sees_all_devices)
    try:
        return container_view(gpus, wanted, sees_all_devices=sees_all)
    except GputuiError:
        return None


def _view_as_it_is(service: Service, gpus: Sequence[Gpu]) -> ContainerView | None:
    """None where what it was given cannot be told, so that there is nothing to hold against what is seen."""
    if service.container is None or service.requested is None or not uses_gpus(service.container):
        return None
    return _view(service, gpus, service.requested)


def _action(service: Service, gpus: Sequence[Gpu]) -> tuple[Action, str]:
    container = service.container
    if container is None:
        if service.enabled and service.not_carried:
            return "none", f"cannot be created: {', '.join(service.not_carried)}"
        if service.enabled:
            return "create", "not created yet"
        return "none", "disabled"
    if not service.adopted:
        return "none", "as it is" if service.origin == "compose" else "found, not adopted"
    if not service.enabled:
        return ("stop", "disabled") if service.state in ("running", "restarting", "paused") else ("none", "disabled")
    changes = _changes(service, gpus)
    if changes:
        return "recreate", ", ".join(changes)
    if service.running:
        return "none", "as assigned"
    return "start", f"enabled and {service.state}"


def labels_of(uuids: Sequence[str], gpus: Sequence[Gpu]) -> str:
    """GPUs as a person reads them: `0,2`, or `none`."""
    names = {gpu.uuid: gpu.label for gpu in gpus}
    return ",".join(names.get(uuid, uuid[:12]) for uuid in uuids) or "none"


def _changes(service: Service, gpus: Sequence[Gpu]) -> list[str]:
    container = service.container
    assert container is not None
    changes = []
    if service.requested != service.assigned:
        before = "unknown" if service.requested is None else labels_of(service.requested, gpus)
        changes.append(f"GPUs {before} → {labels_of(service.assigned, gpus)}")
    before_budget = container.labels.get(LABEL_BUDGET)
    budget = None if service.budget_mib is None else str(service.budget_mib)
    if before_budget != budget:
        changes.append(f"budget {_budget(before_budget)} → {_budget(budget)}")
    edits = all_edits(service, gpus)
    if container.labels.get(LABEL_EDITS, "") != edits_mark(edits):
        changes.append(f"edit {edits_text(edits) or 'none'}")
    return changes


def _budget(mib: str | None) -> str:
    return f"{gib_down(int(mib))} GiB" if mib and mib.isdigit() else "none"


def _diff(service: Service, view: ContainerView, gpus: Sequence[Gpu]) -> tuple[str, ...]:
    before = service.container.gpu_environment if service.container else {}
    asked = "none" if service.container is None or service.requested is None else labels_of(service.requested, gpus)
    rows = [
        ("device request", asked, labels_of(view.gpus, gpus)),
        ("NVIDIA_VISIBLE_DEVICES", before.get("NVIDIA_VISIBLE_DEVICES"), view.nvidia_visible_devices),
        ("CUDA_VISIBLE_DEVICES", before.get("CUDA_VISIBLE_DEVICES"), view.cuda_visible_devices),
        ("CUDA_DEVICE_ORDER", before.get("CUDA_DEVICE_ORDER"), "PCI_BUS_ID" if view.gpus else None),
    ]
    if service.budget_mib is not None and service.budget_env is not None:
        rows.append((service.budget_env, None, gib_down(service.budget_mib)))
    rows += [(edit.argument, None, mask_secret(edit.argument, edit.value or "")) for edit in all_edits(service, gpus)]
    return tuple(f"{name}: {old or '—'} → {new or '—'}" for name, old, new in rows if old != new)


def _in_order(steps: Sequence[Step], services: Sequence[Service]) -> list[Step]:
    """Stops first, then whoever leaves a GPU before whoever comes to it; cycles keep the order of the table."""
    held = {service.key: set(service.running_on) | set(service.requested or ()) for service in services}

    def wants(step: Step) -> set[str]:
        return set(step.view.gpus) if step.view and step.action != "stop" else set()

    waiting = [step for step in steps if step.action != "none"]
    ordered: list[Step] = sorted((step for step in waiting if step.action == "stop"), key=lambda step: step.service)
    waiting = [step for step in waiting if step.action != "stop"]
    while waiting:
        ready = [
            step
            for step in waiting
            if not any(
                wants(step) & (held.get(other.service, set()) - wants(other)) for other in waiting if other is not step
            )
        ]
        step = (ready or waiting)[0]
        ordered.append(step)
        waiting.remove(step)
    return ordered + [step for step in steps if step.action == "none"]
