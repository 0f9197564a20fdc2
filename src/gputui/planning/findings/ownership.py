"""What is not managed by gputui, or what others depend on."""

from collections.abc import Sequence

from gputui.domain import compose_labels
from gputui.domain.container import Container
from gputui.domain.finding import DIFFERS, Finding, Severity
from gputui.domain.plan import Step
from gputui.domain.service import Service
from gputui.planning.changes.file_difference import COMPARED
from gputui.planning.findings.about import about


def unsupported_keys(services: Sequence[Service]) -> list[Finding]:
    """Compose keys that gputui does not support; they only matter if a service is created from the file."""
    findings = []
    for service in services:
        if service.not_carried:
            keys = ", ".join(service.not_carried)
            severity: Severity = "warning" if service.container else "error"
            text = f"{service.name}: gputui does not support the key {keys} of its Compose file"
            fix = "create it with `docker compose up`; gputui can move it from then on"
            findings.append(about(service, "key-not-carried", severity, text, fix))
    return findings


def not_ours(services: Sequence[Service]) -> list[Finding]:
    """An adopted container that could not be restored, or that another orchestrator would restore itself."""
    findings = []
    for service in services:
        container = service.container
        if container is None or not service.adopted:
            continue
        if container.auto_remove:
            text = f"{service.name} removes itself when it stops (--rm), so it could not be restored"
            findings.append(about(service, "auto-remove", "refusal", text, "start it without --rm"))
        if "com.docker.swarm.task.id" in container.labels:
            text = f"{service.name} is a task of Docker Swarm, which would start another in its place"
            findings.append(about(service, "swarm-task", "refusal", text, "change it with `docker service update`"))
        for label, (kind, fix) in _ORCHESTRATORS.items():
            if label in container.labels:
                text = f"{service.name} is {kind}, which would change it back"
                findings.append(about(service, "orchestrated", "refusal", text, fix))
        if container.state in ("removing", "dead"):
            text = f"{service.name} is being removed"
            findings.append(about(service, "being-removed", "refusal", text, "wait until it is gone"))
    return findings


def differs_from_file(services: Sequence[Service]) -> list[Finding]:
    """Containers created before their Compose file was changed, or independently of it."""
    findings = []
    for service in services:
        if service.file_differences:
            text = f"{service.name} differs from its Compose file: {', '.join(service.file_differences)}"
            obstacle = refresh_obstacle(service)
            command = f"`gputui apply --refresh {service.name}`"
            fix = f"R, or {command}, re-creates it from the file; otherwise it stays as it is"
            fix = fix if obstacle is None else f"gputui cannot re-create it from the file: {obstacle}"
            findings.append(about(service, DIFFERS, "info", text, fix))
    return findings


def refresh_obstacle(service: Service) -> str | None:
    """Why a service cannot be re-created from its Compose file, or need not be; None if it can."""
    if service.container is None:
        return "it has no container yet"
    if service.not_carried:
        return f"gputui does not support the key {', '.join(service.not_carried)}; `docker compose up -d` does"
    if service.file_differences and service.key.replica != 1:
        return "it is one of several, of which the file describes the first; `docker compose up -d` re-creates them"
    if service.file_differences:
        return None if service.enabled else "it is not enabled"
    unchanged = f"it is as its Compose file says in {', '.join(COMPARED)}"
    return unchanged if service.origin == "compose" else "no Compose file has it"


def shares_with(service: Service, provider: Service) -> bool:
    """Whether a service's container uses the network, IPC, PIDs or volumes of another's."""
    user_container, provider_container = service.container, provider.container
    return user_container is not None and provider_container is not None and _shares(user_container, provider_container)


def shared_namespaces(services: Sequence[Service], containers: Sequence[Container]) -> list[Finding]:
    """Containers that use the network, IPC, PIDs or volumes of one to be re-created: they refer to it by ID. Adopted
    services are re-created with it; unmanaged ones would lose it."""
    findings = []
    managed_ids = {
        service.container.id for service in services if service.container and service.adopted and service.enabled
    }
    for service in services:
        container = service.container
        if container is None or not service.adopted or not service.enabled or service.requested == service.assigned:
            continue
        findings += [
            _would_lose(service, user) for user in containers if user.id not in managed_ids and _shares(user, container)
        ]
    return findings


def _shares(user: Container, container: Container) -> bool:
    return container.id in user.shares_with or container.name in user.shares_with


def _would_lose(service: Service, user: Container) -> Finding:
    text = f"{user.name} shares namespaces or volumes with {service.name} and would lose them"
    compose = user.labels.get(compose_labels.SERVICE)
    again = (
        f"`docker compose up -d --no-deps {compose}`" if compose else f"`docker rm -f {user.name}` and `docker run …`"
    )
    fix = f"with --force it is left without them until {again} re-creates it"
    return about(service, "shared-namespace", "error", text, fix)


def namespace_users(
    steps: Sequence[Step],
    services: Sequence[Service],
    containers: Sequence[Container],
    reported: Sequence[Finding],
) -> tuple[Finding, ...]:
    """The same for everything else that re-creates or restarts a container, without the findings already `reported`."""
    by_key = {service.key: service for service in services}
    remade = {step.container_id for step in steps}
    reported_services = {finding.service for finding in reported if finding.code == "shared-namespace"}
    findings = []
    for step in steps:
        service = by_key.get(step.service)
        if service is None or service.container is None or service.name in reported_services:
            continue
        findings += [
            _would_lose(service, user)
            for user in containers
            if user.id not in remade and _shares(user, service.container)
        ]
    return tuple(findings)


_ORCHESTRATORS = {
    "io.kubernetes.pod.uid": ("a container of Kubernetes", "change its pod"),
    "com.amazonaws.ecs.task-arn": ("a task of Amazon ECS", "change its task definition"),
    "com.hashicorp.nomad.alloc_id": ("an allocation of Nomad", "change its job"),
    "io.balena.service-name": ("a service of balena", "change it there"),
    "io.rancher.container.uuid": ("a container of Rancher", "change it there"),
}
"""Labels by which other orchestrators know their containers; each of them would undo gputui's changes."""
