"""The plan: the difference between assigned and running services, as one step per service."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from gputui.domain.container import LABEL_BUDGET, LABEL_EDITS, LABEL_REVISION, Container, value_mark
from gputui.domain.errors import GputuiError, UsageError
from gputui.domain.finding import DIFFERS, Finding
from gputui.domain.gpu import Gpu, labels_of
from gputui.domain.injection import MECHANISM_TITLES, NOTHING_KNOWN, HostAccess
from gputui.domain.plan import ContainerView, Plan, Step, StepAction
from gputui.domain.service import Edit, Service, ServiceKey, called
from gputui.domain.text import mask_secret, whole_number
from gputui.planning.changes.container_view import container_view, view_of
from gputui.planning.changes.injection_choice import present_mechanism
from gputui.planning.changes.spec_edit import edits_mark, edits_text, gib_down
from gputui.planning.changes.step_order import in_order
from gputui.planning.findings.assigned_gpus import missing_gpus
from gputui.planning.findings.injectable import cannot_be_given
from gputui.planning.findings.ownership import namespace_users, not_ours, refresh_obstacle, shares_with
from gputui.planning.findings.recreatable import linked_from, paused
from gputui.planning.given_gpus import uses_gpus
from gputui.planning.needs.budget import all_edits
from gputui.planning.needs.serving_address import start_s
from gputui.planning.services import edited


def make_plan(
    services: Sequence[Service],
    gpus: Sequence[Gpu],
    findings: Sequence[Finding],
    *,
    revision: int,
    only: Collection[str] = (),
    refresh: bool = False,
    containers: Sequence[Container] = (),
    access: HostAccess = NOTHING_KNOWN,
) -> Plan:
    """What an apply would do, in order, for all services or `only` those named.

    `refresh`: services that differ from their Compose file are re-created from it, if they are adopted or named.

    Raises:
        UsageError: a name in `only` is not a service.
    """
    chosen = select(services, only) if only else list(services)
    steps = {service.key: _step(service, gpus, access) for service in chosen}
    if refresh:
        for service in chosen:
            if service.adopted or only:
                steps[service.key] = _refreshed(steps[service.key], service, gpus, access)
    steps = _with_dependants(steps, services, gpus, access)
    chosen = [service for service in services if service.key in steps]
    relevant = _relevant(findings, chosen, steps)
    changed = [
        service for service in chosen if not service.adopted and steps[service.key].action not in ("none", "create")
    ]
    relevant += tuple(not_ours([replace(service, adopted=True) for service in changed]))
    relevant += namespace_users(
        [step for step in steps.values() if step.action == "recreate"], services, containers, relevant
    )
    relevant += (*paused(chosen, tuple(steps.values())), *linked_from(chosen, tuple(steps.values()), containers))
    created = {key for key, step in steps.items() if step.action in ("create", "recreate") and step.view is None}
    reported = {(finding.code, finding.service) for finding in relevant}
    unable = cannot_be_given([service for service in chosen if service.key in created], gpus, access)
    relevant += tuple(finding for finding in unable if (finding.code, finding.service) not in reported)
    return Plan(revision=revision, steps=in_order([steps[service.key] for service in chosen]), findings=relevant)


def lifecycle_plan(
    services: Sequence[Service],
    gpus: Sequence[Gpu],
    names: Collection[str],
    action: Literal["restart", "start", "stop"],
    findings: Sequence[Finding] = (),
    *,
    revision: int,
    containers: Sequence[Container] = (),
) -> Plan:
    """A plan that restarts, starts or stops the named services as they are.

    Raises:
        UsageError: a name is not a service, or has no container yet.
    """
    steps = []
    for service in select(services, names):
        if service.container is None:
            raise UsageError(f"{service.name} has no container yet", "create it with `gputui apply`")
        done = (action == "start" and service.running) or (action == "stop" and not service.lives)
        unpauses = action == "start" and service.state == "paused"
        steps.append(
            Step(
                action="none" if done else "unpause" if unpauses else action,
                service=service.key,
                name=service.name,
                cause=f"already {service.state}" if done else f"{action} requested",
                container_id=service.container.id,
                view=_view_as_it_is(service, gpus),
                holds=_holds(service),
                depends_on=_dependencies(service),
                down_s=start_s(service),
            )
        )
    touched = {step.service for step in steps if step.action != "none"}
    chosen = [service for service in services if service.key in touched]
    relevant = not_ours([replace(service, adopted=True) for service in chosen])
    if action == "restart":
        relevant += namespace_users(steps, services, [container for container in containers if container.lives], ())
    if action != "stop":
        relevant += _cannot_start(findings, chosen, gpus)
    return Plan(revision=revision, steps=in_order(steps), findings=tuple(relevant))


START_CODES = ("gpu-lost", "mig-in-group")
"""Findings that make a start fail."""


def _cannot_start(findings: Sequence[Finding], services: Sequence[Service], gpus: Sequence[Gpu]) -> list[Finding]:
    """The findings because of which these services would not come up again with their present containers."""
    names = {service.name for service in services}
    restarted = [replace(service, enabled=True, assigned=service.requested or ()) for service in services]
    blocking = [finding for finding in findings if finding.code in START_CODES and finding.service in names]
    raised = [replace(finding, severity="error") if finding.severity == "warning" else finding for finding in blocking]
    return [*missing_gpus(restarted, gpus), *raised]


def select(services: Sequence[Service], names: Collection[str]) -> list[Service]:
    """The services of these names.

    Raises:
        UsageError: there is none of that name, or several.
    """
    return [called(services, name) for name in names]


def _step(service: Service, gpus: Sequence[Gpu], access: HostAccess) -> Step:
    action, cause = _action(service, gpus, access)
    container = service.container
    view = None
    if action in ("create", "recreate"):
        view = _view(service, gpus, service.assigned, access)
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
        holds=_holds(service),
        depends_on=_dependencies(service),
        down_s=start_s(service),
    )


def _relevant(
    findings: Sequence[Finding], chosen: Sequence[Service], steps: Mapping[ServiceKey, Step]
) -> tuple[Finding, ...]:
    """The findings about services that are adopted or to be created; and about each that remains different from its
    file."""
    refreshed = {service.name for service in chosen if steps[service.key].from_file}
    changed = {service.name for service in chosen if steps[service.key].action != "none"}
    ours = refreshed | changed | {service.name for service in chosen if service.adopted or service.container is None}
    stays = {service.name for service in chosen} - refreshed
    return tuple(
        finding
        for finding in findings
        if finding.service is None or finding.service in (stays if finding.code == DIFFERS else ours)
    )


def _holds(service: Service) -> tuple[str, ...]:
    """The GPUs that its container has, or may have."""
    return tuple(dict.fromkeys((*service.running_on, *(service.requested or ()))))


def _dependencies(service: Service) -> tuple[ServiceKey, ...]:
    return tuple(replace(service.key, name=name, replica=1) for name in service.depends_on)


def _refreshed(step: Step, service: Service, gpus: Sequence[Gpu], access: HostAccess) -> Step:
    """The step that also applies changes of its Compose file."""
    obstacle = refresh_obstacle(service)
    if obstacle is not None:
        return replace(step, cause=f"{step.cause}; {obstacle}") if step.action == "none" else step
    if step.action not in ("recreate", "none", "start"):
        return step
    cause = f"differs from its Compose file: {', '.join(service.file_differences)}"
    view = _view(service, gpus, service.assigned, access)
    if step.action == "recreate":
        return replace(step, cause=f"{step.cause}, {cause}", from_file=True)
    diff = _diff(service, view, gpus) if view else ()
    return replace(step, action="recreate", cause=cause, view=view, from_file=True, diff=diff)


def _with_dependants(
    steps: Mapping[ServiceKey, Step], services: Sequence[Service], gpus: Sequence[Gpu], access: HostAccess
) -> dict[ServiceKey, Step]:
    """Adds the services whose containers use the network, IPC, PIDs or volumes of one that is re-created: they refer to
    it by ID, so they must be re-created with it."""
    extended = dict(steps)
    remade = {key for key, step in steps.items() if step.action == "recreate"}
    waiting = list(remade)
    by_key = {service.key: service for service in services}
    while waiting:
        provider = by_key[waiting.pop()]
        for service in services:
            if not shares_with(service, provider) or not service.adopted or not service.enabled:
                continue
            step = extended.get(service.key) or _step(service, gpus, access)
            shares = tuple(dict.fromkeys((*step.shares, provider.key)))
            if step.action != "recreate":
                view = _view(service, gpus, service.assigned, access)
                cause = f"uses the namespaces or volumes of {provider.name}, which is re-created"
                step = replace(step, action="recreate", cause=cause, view=view)
                waiting.append(service.key)
            extended[service.key] = replace(step, shares=shares)
    return extended


def _view(service: Service, gpus: Sequence[Gpu], chosen: Sequence[str], access: HostAccess) -> ContainerView | None:
    """None if it cannot get its GPUs: a finding explains why."""
    try:
        return view_of(service, gpus, chosen, access)
    except GputuiError:
        return None


def _view_as_it_is(service: Service, gpus: Sequence[Gpu]) -> ContainerView | None:
    """None if its requested GPUs are unknown, so that there is nothing to compare with."""
    container = service.container
    if container is None or service.requested is None or not uses_gpus(container):
        return None
    try:
        return container_view(gpus, service.requested, sees_all_devices=container.sees_all_devices)
    except GputuiError:
        return None


def _action(service: Service, gpus: Sequence[Gpu], access: HostAccess) -> tuple[StepAction, str]:
    container = service.container
    if container is None:
        if service.enabled and service.not_carried:
            return "none", f"cannot be created: {', '.join(service.not_carried)}"
        if service.enabled:
            return "create", "not created yet"
        return "none", "disabled"
    if not service.adopted:
        # Nobody edited it here, but the saved state of a Compose service beats what somebody else changed.
        displaced = service.requested is not None and service.requested != service.assigned
        if service.is_saved and service.origin == "compose" and service.lives and displaced:
            if _view(service, gpus, service.assigned, access) is None:
                return "none", "unchanged: its saved GPUs are not available any more"
            return "recreate", _moved(service, gpus)
        return "none", "as it is" if service.origin == "compose" else "unmanaged"
    if not service.enabled:
        return ("stop", "disabled") if service.lives else ("none", "disabled")
    changes = _changes(service, gpus, access)
    if changes:
        return "recreate", ", ".join(changes)
    if service.lives:
        return "none", "as assigned"
    return "start", f"enabled and {service.state}"


def _moved(service: Service, gpus: Sequence[Gpu]) -> str:
    current = "unknown" if service.requested is None else labels_of(service.requested, gpus)
    return f"GPUs {current} → {labels_of(service.assigned, gpus)}"


def _changes(service: Service, gpus: Sequence[Gpu], access: HostAccess) -> list[str]:
    container = service.container
    assert container is not None
    changes = []
    if service.requested != service.assigned:
        changes.append(_moved(service, gpus))
    required, present = service.mechanism or access.asked, present_mechanism(container)
    if service.assigned and required is not None and present not in (None, required):
        old_title, new_title = MECHANISM_TITLES[present], MECHANISM_TITLES[required]
        changes.append(f"GPUs by {old_title} → by {new_title}")
    edits = all_edits(service, gpus)
    if LABEL_REVISION not in container.labels:
        # Created by something else, such as `docker compose up` with the override: its contents count.
        return [*changes, *_changes_inside(service, container, edits)]
    before_budget = container.labels.get(LABEL_BUDGET)
    budget = None if service.budget_mib is None else str(service.budget_mib)
    if before_budget != budget:
        changes.append(f"budget {_budget(before_budget)} → {_budget(budget)}")
    if container.labels.get(LABEL_EDITS, "") != edits_mark(edits):
        changes.append(f"edit {edits_text(edits) or 'none'}")
    return changes


def _changes_inside(service: Service, container: Container, edits: Sequence[Edit]) -> list[str]:
    """What a container lacks of its budget and its changed arguments."""
    changes = []
    if service.budget_mib is not None and service.budget_env is not None:
        budget = gib_down(service.budget_mib)
        present = container.variables.get(service.budget_env)
        if present != value_mark(budget):
            changes.append(f"budget {'none ' if present is None else ''}→ {budget} GiB")
    elif service.budget_mib is None and not service.tells_file_budget:
        changes.append("budget → as its file says")
    if edits and edited(service.launch, tuple(edits)).words != container.launch.words:
        changes.append(f"edit {edits_text(edits)}")
    return changes


def _budget(mib: str | None) -> str:
    budget_mib = whole_number(mib, least=1)
    return f"{gib_down(budget_mib)} GiB" if budget_mib else "none"


def _diff(service: Service, view: ContainerView, gpus: Sequence[Gpu]) -> tuple[str, ...]:
    environment = service.container.gpu_environment if service.container else {}
    current = "none" if service.container is None or service.requested is None else labels_of(service.requested, gpus)
    rows = [
        ("device request", current, labels_of(view.gpus, gpus)),
        ("mechanism", *_mechanisms(service, view)),
        ("NVIDIA_VISIBLE_DEVICES", environment.get("NVIDIA_VISIBLE_DEVICES"), view.nvidia_visible_devices),
        ("CUDA_VISIBLE_DEVICES", environment.get("CUDA_VISIBLE_DEVICES"), view.cuda_visible_devices),
        ("CUDA_DEVICE_ORDER", environment.get("CUDA_DEVICE_ORDER"), "PCI_BUS_ID" if view.gpus else None),
    ]
    if service.budget_mib is not None and service.budget_env is not None:
        rows.append((service.budget_env, None, gib_down(service.budget_mib)))
    rows += [(edit.argument, None, mask_secret(edit.argument, edit.value or "")) for edit in all_edits(service, gpus)]
    return tuple(f"{name}: {old or '—'} → {new or '—'}" for name, old, new in rows if old != new)


def _mechanisms(service: Service, view: ContainerView) -> tuple[str | None, str | None]:
    """Its present and its new GPU injection method; only if that is not the ordinary request."""
    current, new = present_mechanism(service.container), view.mechanism
    if new is None or (current in (None, new) and new == "nvidia"):
        return None, None
    return MECHANISM_TITLES[current] if current else None, MECHANISM_TITLES[new]
