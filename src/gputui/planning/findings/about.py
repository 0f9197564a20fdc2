"""A finding about a service."""

from collections.abc import Sequence

from gputui.domain.finding import Finding, Severity
from gputui.domain.service import Edit, Service


def about(
    service: Service,
    code: str,
    severity: Severity,
    text: str,
    fix: str,
    gpu: str | None = None,
    edits: Sequence[Edit] = (),
) -> Finding:
    """A finding about this service, and a GPU by its UUID."""
    return Finding(code=code, severity=severity, text=text, fix=fix, service=service.name, gpu=gpu, edits=tuple(edits))


def either(labels: Sequence[str]) -> str:
    """`0`, `0 or 2`, `0, 2 or 3`."""
    return " or ".join(part for part in (", ".join(labels[:-1]), labels[-1] if labels else "") if part)
