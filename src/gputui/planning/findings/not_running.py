"""Services that should run but do not, and those whose GPU was gone when they started."""

from collections.abc import Mapping, Sequence

from gputui.domain.event import ApplyRecord
from gputui.domain.finding import Finding, Severity
from gputui.domain.gpu import Gpu, labels_of
from gputui.domain.message import Message
from gputui.domain.service import Service
from gputui.planning.findings.about import about


def ended(services: Sequence[Service]) -> list[Finding]:
    """A Compose or adopted service whose container exited. If it exited by itself without an error, that may be
    intended."""
    findings = []
    for service in services:
        container = service.container
        is_managed = service.adopted or service.origin == "compose"
        if container is None or not is_managed or not service.enabled or container.state not in ("exited", "dead"):
            continue
        severity: Severity = "info" if container.exit_code == 0 and not container.error else "warning"
        code = "" if container.exit_code is None else f" with code {container.exit_code}"
        because = f": {container.error}" if container.error else ""
        text = f"{service.name} ended{code}{because}"
        fix = f"`gputui logs {service.name}` says why; `gputui start {service.name}` starts it again"
        findings.append(about(service, "ended", severity, text, fix))
    return findings


def launch_failed(services: Sequence[Service], failures: Mapping[str, str]) -> list[Finding]:
    """A service that failed in the last apply that included it, until it runs as assigned. `failures`: the reasons, by
    service name."""
    findings = []
    for service in services:
        why = next((text for name, text in failures.items() if service.was_called(name)), None)
        as_assigned = service.requested in (None, service.assigned)
        if why is None or not service.enabled or (service.running and as_assigned):
            continue
        text = f"{service.name} failed in the last apply: {why}"
        fix = f"`gputui history` and `gputui logs {service.name} --previous` say more; fix it and apply again"
        findings.append(about(service, "launch-failed", "warning", text, fix))
    return findings


_FIXES = {
    "never": "assign it another GPU; x-gputui.fallback in its Compose file can do so automatically",
    "ask": "`gputui fallback` (or b on the screen) gives it the next best GPU that fits",
    "auto": "no other GPU has room for it: free memory, or assign it by hand",
}


def gone_at_start(services: Sequence[Service], gpus: Sequence[Gpu], last: ApplyRecord | None) -> list[Finding]:
    """GPUs that the last apply found missing, as long as they are assigned."""
    findings = []
    for service in services:
        missing = next((gone for name, gone in last.missing.items() if service.was_called(name)), ()) if last else ()
        if set(missing) & set(service.assigned):
            text = f"GPU {labels_of(missing, gpus)} was gone when {service.name} was to start; it runs as before"
            findings.append(about(service, "gpu-gone-at-start", "warning", text, _FIXES[service.fallback], missing[0]))
    return findings


def fell_back(services: Sequence[Service], reason: Message) -> list[Finding]:
    """Services that got another GPU by themselves, by the reason of the revision."""
    if reason.kind != "fallback":
        return []
    names = reason.values.get("services")
    # gputui 0.1 wrote down only what changed, in words.
    moved = names.split(", ") if names is not None else reason.text.split(" ")
    return [
        about(
            service, "fell-back", "info", f"{service.name}: {reason.text}", "assign it its GPU again when that is back"
        )
        for service in services
        if service.name in moved or service.key.full_name in moved
    ]
