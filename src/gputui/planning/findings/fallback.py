"""Services whose GPU was gone when they were to start."""

from collections.abc import Sequence

from gputui.domain.event import FALLBACK, ApplyRecord
from gputui.domain.finding import Finding
from gputui.domain.gpu import Gpu, labels_of
from gputui.domain.service import Service
from gputui.planning.findings.about import about

_FIXES = {
    "never": "assign it another GPU; x-gputui.fallback of its Compose file may do so by itself",
    "ask": "`gputui fallback` (or b on the screen) gives it the next best GPU that fits",
    "auto": "no other GPU has room for it: free memory, or assign it by hand",
}


def gone_at_start(services: Sequence[Service], gpus: Sequence[Gpu], last: ApplyRecord | None) -> list[Finding]:
    """What the last apply found missing, as long as it is assigned."""
    found = []
    for service in services:
        missing = next((gone for name, gone in last.missing.items() if service.was_called(name)), ()) if last else ()
        if set(missing) & set(service.assigned):
            text = f"GPU {labels_of(missing, gpus)} was gone when {service.name} was to start; it runs as before"
            found.append(about(service, "gpu-gone-at-start", "warning", text, _FIXES[service.fallback], missing[0]))
    return found


def fell_back(services: Sequence[Service], reason: str) -> list[Finding]:
    """Services that got another GPU by themselves, by the reason of the revision."""
    return [
        about(service, "fell-back", "info", f"{service.name}: {reason}", "assign it its GPU again when that is back")
        for service in services
        if reason.startswith(FALLBACK) and any(f" {name} " in reason for name in (service.name, service.key.full_name))
    ]
