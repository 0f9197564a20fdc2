"""Whether a service finds its model, and the model is intact."""

from collections.abc import Sequence

from gputui.domain.finding import Finding
from gputui.domain.service import Service
from gputui.planning.backends.registry import backend_by_image, named
from gputui.planning.findings.about import about

_ELSEWHERE = ("--tokenizer", "--tokenizer-path", "--load-format", "--tokenizer-mode", "--skip-tokenizer-init")
"""Options that let the model's directory be incomplete."""


def models(services: Sequence[Service]) -> list[Finding]:
    """Problems with models. A running service has proved that its model is fine."""
    findings = []
    for service in services:
        if not service.enabled:
            continue
        findings += contradiction(service)
        named_by_path = (service.model or "").startswith("/")
        if not service.running and named_by_path and named(service.backend).loads_model:
            findings += not_mounted(service)
            findings += incomplete(service)
    return findings


def contradiction(service: Service) -> list[Finding]:
    """An image of a backend other than the declared one."""
    by_image = backend_by_image(service.image)
    # Whoever declares a service as generic knows that it is not one of those.
    if by_image is None or service.backend in (by_image, "generic", "pytorch"):
        return []
    text = f"{service.name} is declared as {service.backend}, but its image {service.image} is {by_image}"
    return [about(service, "backend-contradiction", "error", text, "correct x-gputui.backend or the image")]


def not_mounted(service: Service) -> list[Finding]:
    """The model's path is not in any volume of the container."""
    if service.unmounted is None:
        return []
    text = f"{service.name}: its model {service.unmounted} is in no volume of the container"
    fix = "mount it with volumes:, or say where it is with path_aliases in x-gputui at the top of the file"
    return [about(service, "path-not-mounted", "error", text, fix)]


def _placed(problem: str, path: str) -> str:
    return problem if path in problem else f"{problem} (in {path})"


def incomplete(service: Service) -> list[Finding]:
    """Missing or damaged files."""
    files = service.files
    if files is None:
        return []
    findings = [
        about(
            service,
            "model-damaged",
            "error",
            f"{service.name}: {_placed(problem, files.path)}",
            "fix it, or download it again",
        )
        for problem in files.problems
    ]
    if files.problems:
        return findings
    if files.unread is not None:
        text = f"{service.name}: {files.unread}, so its needs cannot be read from its files"
        return [about(service, "model-unread", "info", text, "declare it as x-gputui.vram, or run it once")]
    words = " ".join(service.launch.words).replace("_", "-")
    elsewhere = any(option in words for option in _ELSEWHERE)
    if not files.has_weights and not elsewhere:
        text = f"{service.name}: there are no weights in {files.path}"
        findings.append(about(service, "no-weights", "error", text, "download the model, or mount the right directory"))
    if files.has_tokenizer is False and named(service.backend).needs_tokenizer and not elsewhere:
        where = f"{service.name}: there is no usable tokenizer in {files.path}"
        text = f"{where}; loading it ends with “TypeError: not a string”"
        fix = "put tokenizer.json or tokenizer.model of the same model there"
        findings.append(about(service, "no-tokenizer", "error", text, fix))
    return findings
