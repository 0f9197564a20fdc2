"""Whether assigned, requested and actual GPUs agree."""

from collections.abc import Sequence

from gputui.domain.finding import Finding
from gputui.domain.gpu import Gpu, Reading, labels_by_uuid
from gputui.domain.service import Service
from gputui.planning.findings.about import about


def missing_gpus(services: Sequence[Service], gpus: Sequence[Gpu]) -> list[Finding]:
    """A GPU in saved state or in a file that is not on this host, or cannot be assigned as a whole."""
    by_uuid = {gpu.uuid: gpu for gpu in gpus}
    findings: list[Finding] = []
    if not gpus:  # the driver reports nothing: the host's GPUs are unknown
        return findings
    for service in services:
        for uuid in service.assigned if service.enabled else ():
            gpu = by_uuid.get(uuid)
            if gpu is None:
                text = f"{service.name} is assigned GPU {uuid}, which is not on this host"
                fix = "assign it another GPU, or look for new GPUs once it is back"
                findings.append(about(service, "gpu-missing", "error", text, fix, uuid))
            elif not gpu.assignable:
                text = f"{service.name} is assigned GPU {gpu.label}, which is divided into MIG instances"
                findings.append(about(service, "gpu-is-mig", "refusal", text, "assign it one of the instances", uuid))
    return findings


def drifted(services: Sequence[Service]) -> list[Finding]:
    """The GPUs a service was given and those it has disagree. A restart sets up its devices again."""
    return [
        about(
            service, "drift", "warning", f"{service.name}: {text}", f"`gputui restart {service.name}`, or r, fixes it"
        )
        for service in services
        for text in service.drift
    ]


def not_applied(services: Sequence[Service], gpus: Sequence[Gpu]) -> list[Finding]:
    """The assignment differs from the request made to the engine."""
    findings = []
    names = labels_by_uuid(gpus)
    for service in services:
        if not service.adopted or not service.enabled or service.requested in (None, service.assigned):
            continue
        requested = ", ".join(names.get(uuid, uuid) for uuid in service.requested or ()) or "none"
        assigned = ", ".join(names.get(uuid, uuid) for uuid in service.assigned) or "none"
        text = f"{service.name} is assigned GPU {assigned}; its container was made for {requested}"
        findings.append(about(service, "not-applied", "info", text, "apply it"))
    return findings


def open_requests(services: Sequence[Service], gpus: Sequence[Gpu]) -> list[Finding]:
    """A file that requests a number of GPUs, without a choice of which so far."""
    findings = []
    names = labels_by_uuid(gpus)
    for service in services:
        count = service.any_gpus
        if count is None or not service.enabled or not gpus:
            continue
        amount = "any GPU" if count == 1 else f"any {count} GPUs"
        available = sum(gpu.assignable for gpu in gpus)
        chosen = ",".join(names.get(uuid, uuid) for uuid in service.assigned)
        if count > available:
            text = f"{service.name} asks for {amount}; this host has {available}"
            findings.append(about(service, "any-gpus", "error", text, "lower the count in its file"))
        elif len(service.assigned) == count:
            text = f"{service.name} asks for {amount}; it would get GPU {chosen}"
            fix = f"`gputui assign {service.name} --gpus {chosen}` keeps {'it' if count == 1 else 'them'}"
            findings.append(about(service, "any-gpus", "info", text, fix))
    return findings


def lost_gpus(services: Sequence[Service], readings: Sequence[Reading]) -> list[Finding]:
    """A GPU that does not respond while services are assigned to it."""
    findings = []
    for reading in readings:
        if reading.state != "lost":
            continue
        for service in services:
            if service.enabled and reading.gpu.uuid in service.assigned:
                text = f"{service.name} is on GPU {reading.gpu.label}, which is lost: {reading.reason or 'no answer'}"
                fix = "move it to another GPU"
                findings.append(about(service, "gpu-lost", "warning", text, fix, reading.gpu.uuid))
    return findings


def without_gpu(services: Sequence[Service]) -> list[Finding]:
    """A service that is to run and has no GPU, although it was created for one."""
    return [
        about(service, "no-gpu", "info", f"{service.name} is enabled without a GPU", "assign it one")
        for service in services
        if service.enabled and not service.assigned and not service.running
    ]
