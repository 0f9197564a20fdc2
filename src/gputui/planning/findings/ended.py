"""Services that are to run and do not."""

from collections.abc import Mapping, Sequence

from gputui.domain.finding import Finding, Severity
from gputui.domain.service import Service
from gputui.planning.findings.about import about


def ended(services: Sequence[Service]) -> list[Finding]:
    """A service of a Compose file, or one of gputui's, whose container ended. One that ended by itself without an error
    may have been meant to."""
    found = []
    for service in services:
        container = service.container
        ours = service.adopted or service.origin == "compose"
        if container is None or not ours or not service.enabled or container.state not in ("exited", "dead"):
            continue
        severity: Severity = "info" if container.exit_code == 0 and not container.error else "warning"
        code = "" if container.exit_code is None else f" with code {container.exit_code}"
        because = f": {container.error}" if container.error else ""
        text = f"{service.name} ended{code}{because}"
        fix = f"`gputui logs {service.name}` tells why; `gputui start {service.name}` starts it again"
        found.append(about(service, "ended", severity, text, fix))
    return found


def launch_failed(services: Sequence[Service], failures: Mapping[str, str]) -> list[Finding]:
    """A service that failed in the last apply that was about it, until it runs as it is assigned. `failures`: why, by
    the names of services."""
    found = []
    for service in services:
        why = next((text for name, text in failures.items() if service.was_called(name)), None)
        as_assigned = service.requested in (None, service.assigned)
        if why is None or not service.enabled or (service.running and as_assigned):
            continue
        text = f"{service.name} failed in the last apply: {why}"
        fix = f"`gputui history` and `gputui logs {service.name} --previous` tell more; correct it and apply again"
        found.append(about(service, "launch-failed", "warning", text, fix))
    return found
