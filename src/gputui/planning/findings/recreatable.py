"""Whether what an apply stops could be started again, what depends on it, and what it would lose."""

from collections.abc import Sequence

from gputui.domain.container import Container, Layer, links_to
from gputui.domain.finding import Finding
from gputui.domain.plan import Step
from gputui.domain.service import Service
from gputui.planning.findings.about import about

CANNOT_START_AGAIN = "cannot-start-again"


def cannot_start_again(step: Step, missing: Sequence[str]) -> Finding:
    """A container that would be stopped and could not be started again as it is."""
    return Finding(
        code=CANNOT_START_AGAIN,
        severity="refusal",
        text=f"{step.name} runs, but could not be started again as it is: {'; '.join(missing)}",
        fix="restore that first, or recreate the container by hand; until then gputui leaves it alone",
        service=step.name,
    )


def paused(services: Sequence[Service], steps: Sequence[Step]) -> list[Finding]:
    """Paused containers that are re-created: the new one is not paused."""
    recreated = {step.service for step in steps if step.action == "recreate"}
    return [
        about(
            service,
            "paused",
            "warning",
            f"{service.name} is paused; its new container will run, not paused",
            "pause it again afterwards, or leave it where it is; a rollback keeps it paused",
        )
        for service in services
        if service.key in recreated and service.state == "paused"
    ]


def linked_from(services: Sequence[Service], steps: Sequence[Step], containers: Sequence[Container]) -> list[Finding]:
    """Containers linked (`--link`) to one that is re-created. On the default network the engine ties a link to the
    container, so it cannot follow."""
    recreated = {step.service for step in steps if step.action == "recreate"}
    findings = []
    for service in services:
        container = service.container
        if service.key not in recreated or container is None:
            continue
        links = links_to(container, containers)
        if links:
            names = ", ".join(f"{name} (as {alias})" for name, alias in links)
            text = f"{names} is linked to {service.name}, and loses that link: its container is replaced"
            fix = "put both on a network of their own instead, where names are resolved"
            findings.append(about(service, "linked-from", "warning", text, fix))
    return findings


WORTH_A_WARNING_BYTES = 100 * 10**6
"""More is hardly just logs and caches: weights downloaded inside the container are lost this way."""
WORTH_A_LINE_BYTES = 10**6


def layer_finding(step: Step, layer: Layer) -> Finding | None:
    """A warning if much would be lost, with the largest paths."""
    if layer.size_bytes is None or layer.size_bytes < WORTH_A_WARNING_BYTES:
        return None
    fix = f"keep it as an image first (`gputui apply --keep-layer {step.name}`), or put it on a volume"
    text = f"{step.name} would lose {layer_text(layer)}"
    return Finding(code="writable-layer", severity="warning", text=text, fix=fix, service=step.name)


def layer_line(layer: Layer) -> str | None:
    """What would be lost, as a line of text; None if that is next to nothing."""
    if layer.size_bytes is None:
        return "what it wrote outside its volumes is lost; how much that is is unknown"
    return f"lost: {layer_text(layer)}" if layer.size_bytes >= WORTH_A_LINE_BYTES else None


def layer_text(layer: Layer) -> str:
    """Its size and its largest paths."""
    paths = ", ".join(f"{path} {_size(size)}" for path, size in layer.largest if size >= WORTH_A_LINE_BYTES)
    return f"{_size(layer.size_bytes or 0)} written outside its volumes" + (f" ({paths})" if paths else "")


def _size(size: int) -> str:
    return f"{size / 10**9:.1f} GB" if size >= 10**9 else f"{size / 10**6:.0f} MB"
