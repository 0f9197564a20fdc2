"""What is not ours to change, or what others depend on."""

from collections.abc import Sequence

from gputui.domain.finding import Finding, Severity
from gputui.domain.service import Service
from gputui.planning.findings.about import about


def not_carried(services: Sequence[Service]) -> list[Finding]:
    """Keys of a Compose file that gputui cannot carry; they only matter where a service is made from the file."""
    found = []
    for service in services:
        if service.not_carried:
            keys = ", ".join(service.not_carried)
            severity: Severity = "warning" if service.container else "error"
            text = f"{service.name}: gputui cannot carry the key {keys} of its Compose file"
            fix = "create it with `docker compose up`; gputui can move it from then on"
            found.append(about(service, "key-not-carried", severity, text, fix))
    return found


def not_ours(services: Sequence[Service]) -> list[Finding]:
    """An adopted container that could not be put back, or that another orchestrator would put back itself."""
    found = []
    for service in services:
        container = service.container
        if container is None or not service.adopted:
            continue
        if container.auto_remove:
            text = f"{service.name} removes itself when it stops (--rm), so it could not be put back"
            found.append(about(service, "auto-remove", "refusal", text, "start it without --rm"))
        if "com.docker.swarm.task.id" in container.labels:
            text = f"{service.name} is a task of Docker Swarm, which would start another in its place"
            found.append(about(service, "swarm-task", "refusal", text, "change it with `docker service update`"))
    return found


def depended_on(services: Sequence[Service]) -> list[Finding]:
    """Containers that use the network, IPC, pids or volumes of one that is to be recreated: they name it by its id."""
    found = []
    for service in services:
        container = service.container
        if container is None or not service.adopted or not service.enabled or service.requested == service.assigned:
            continue
        for other in services:
            shares = other.container.shares_with if other.container else ()
            if container.id in shares or container.name in shares:
                text = f"{other.name} shares namespaces or volumes with {service.name} and would lose them"
                found.append(
                    about(service, "shared-namespace", "error", text, f"recreate {other.name} afterwards (--force)")
                )
    return found
