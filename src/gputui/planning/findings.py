"""What is worth saying about the services, the GPUs and a draft."""

from collections.abc import Sequence

from gputui.domain.finding import SEVERITIES, Finding, Severity
from gputui.domain.gpu import Gpu, Reading
from gputui.domain.memory import GpuMemory
from gputui.domain.service import Service
from gputui.domain.units import gib
from gputui.planning.memory import need_of


def find_all(
    services: Sequence[Service], gpus: Sequence[Gpu], readings: Sequence[Reading], memory: Sequence[GpuMemory]
) -> tuple[Finding, ...]:
    """All findings, the gravest first."""
    found = [
        *missing_gpus(services, gpus),
        *not_ours(services),
        *not_carried(services),
        *depended_on(services),
        *drifted(services),
        *not_applied(services, gpus),
        *does_not_fit(services, readings, memory),
        *lost_gpus(services, readings),
        *without_gpu(services),
    ]
    return tuple(sorted(found, key=lambda finding: (SEVERITIES.index(finding.severity), finding.service or "")))


def missing_gpus(services: Sequence[Service], gpus: Sequence[Gpu]) -> list[Finding]:
    """A GPU in saved state or in a file that is not on this host, or cannot be given as a whole."""
    by_uuid = {gpu.uuid: gpu for gpu in gpus}
    found = []
    for service in services:
        for uuid in service.assigned if service.enabled else ():
            gpu = by_uuid.get(uuid)
            if gpu is None:
                text = f"{service.name} is assigned GPU {uuid}, which is not on this host"
                fix = "assign it another GPU, or look for new GPUs once it is back"
                found.append(_on(service, "gpu-missing", "error", text, fix, uuid))
            elif not gpu.assignable:
                text = f"{service.name} is assigned GPU {gpu.label}, which is cut into MIG instances"
                found.append(_on(service, "gpu-is-mig", "refusal", text, "assign it one of the instances", uuid))
    return found


def not_carried(services: Sequence[Service]) -> list[Finding]:
    """Keys of a Compose file that gputui cannot carry; they only matter where a service is made from the file."""
    found = []
    for service in services:
        if service.not_carried:
            keys = ", ".join(service.not_carried)
            severity: Severity = "warning" if service.container else "error"
            text = f"{service.name}: gputui cannot carry the key {keys} of its Compose file"
            fix = "create it with `docker compose up`; gputui can move it from then on"
            found.append(_on(service, "key-not-carried", severity, text, fix))
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
            found.append(_on(service, "auto-remove", "refusal", text, "start it without --rm"))
        if "com.docker.swarm.task.id" in container.labels:
            text = f"{service.name} is a task of Docker Swarm, which would start another in its place"
            found.append(_on(service, "swarm-task", "refusal", text, "change it with `docker service update`"))
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
                    _on(service, "shared-namespace", "error", text, f"recreate {other.name} afterwards (--force)")
                )
    return found


def drifted(services: Sequence[Service]) -> list[Finding]:
    """What a service was given and where it runs disagree."""
    return [
        _on(service, "drift", "warning", f"{service.name}: {text}", "restart or move it to put this right")
        for service in services
        for text in service.drift
    ]


def not_applied(services: Sequence[Service], gpus: Sequence[Gpu]) -> list[Finding]:
    """What is assigned differs from what the engine was asked for."""
    found = []
    names = {gpu.uuid: gpu.label for gpu in gpus}
    for service in services:
        if not service.adopted or not service.enabled or service.requested in (None, service.assigned):
            continue
        asked = ", ".join(names.get(uuid, uuid) for uuid in service.requested or ()) or "none"
        wanted = ", ".join(names.get(uuid, uuid) for uuid in service.assigned) or "none"
        text = f"{service.name} is assigned GPU {wanted}; its container was made for {asked}"
        found.append(_on(service, "not-applied", "info", text, "apply it"))
    return found


def lost_gpus(services: Sequence[Service], readings: Sequence[Reading]) -> list[Finding]:
    """A GPU that does not answer while services are assigned to it."""
    found = []
    for reading in readings:
        if reading.state != "lost":
            continue
        for service in services:
            if service.enabled and reading.gpu.uuid in service.assigned:
                text = f"{service.name} is on GPU {reading.gpu.label}, which is lost: {reading.reason or 'no answer'}"
                fix = "move it to another GPU"
                found.append(_on(service, "gpu-lost", "warning", text, fix, reading.gpu.uuid))
    return found


def without_gpu(services: Sequence[Service]) -> list[Finding]:
    """A service that is to run and has no GPU, although it was made for one."""
    return [
        _on(service, "no-gpu", "info", f"{service.name} is enabled without a GPU", "assign it one")
        for service in services
        if service.enabled and not service.assigned and not service.running
    ]


def does_not_fit(
    services: Sequence[Service], readings: Sequence[Reading], memory: Sequence[GpuMemory]
) -> list[Finding]:
    """Too little memory: for one service alone, for the sum, or because of others' processes."""
    found = []
    by_uuid = {one.uuid: one for one in memory}
    for reading in readings:
        share = by_uuid.get(reading.gpu.uuid)
        if share is None or not share.over or share.usable_mib is None:
            continue
        for service in services:
            if not service.enabled or reading.gpu.uuid not in service.assigned:
                continue
            need = need_of(service)
            if need is None or (_is_settled(service, reading) and not _alone_over(services, reading)):
                continue
            found.append(
                _no_room(service, need, reading, share, services, _others_that_fit(service, need, readings, memory))
            )
    return found


def _is_settled(service: Service, reading: Reading) -> bool:
    """It already runs on this GPU with what it needs; those that join it are to blame."""
    return reading.gpu.uuid in service.running_on and service.budget_mib is None


def _alone_over(services: Sequence[Service], reading: Reading) -> bool:
    """Every service on the GPU is settled there, so there is nobody else to name."""
    here = [service for service in services if service.enabled and reading.gpu.uuid in service.assigned]
    return all(_is_settled(service, reading) for service in here)


def _others_that_fit(
    service: Service, need: int, readings: Sequence[Reading], memory: Sequence[GpuMemory]
) -> list[str]:
    labels = {
        reading.gpu.uuid: reading.gpu.label for reading in readings if reading.gpu.assignable and reading.state == "ok"
    }
    return [
        labels[one.uuid]
        for one in memory
        if one.uuid in labels
        and one.uuid not in service.assigned
        and one.free_after_mib is not None
        and one.free_after_mib >= need
    ]


def _no_room(
    service: Service, need: int, reading: Reading, share: GpuMemory, services: Sequence[Service], fitting: list[str]
) -> Finding:
    usable = share.usable_mib or 0
    label = reading.gpu.label
    needs = f"{service.name} needs {gib(need)} GiB"
    if need > usable:
        code, text = "too-big", f"{needs}; GPU {label} has {gib(usable)} GiB in all"
    else:
        foreign = sum(part.mib or 0 for part in share.shares if part.kind == "foreign")
        holders = []
        taken = foreign
        for other in services:
            if other.key != service.key and other.enabled and reading.gpu.uuid in other.assigned:
                theirs = need_of(other) or 0
                taken += theirs
                holders.append(f"{gib(theirs)} {other.name}")
        names = [f"{gib(part.mib)} {part.name}" for part in share.shares if part.kind == "foreign"]
        who = f" ({', '.join((*holders, *names))})" if holders or names else ""
        code = "foreign-memory" if foreign and need > usable - foreign else "sum-too-big"
        text = f"{needs}; GPU {label} has {gib(max(0, usable - taken))} of {gib(usable)} GiB free{who}"
    if len(service.assigned) > 1:
        text = text.replace(" GiB;", " GiB on each GPU;", 1)
    fix = f"GPU {_either(fitting[:3])} would fit" if fitting else "no other GPU has room for it"
    return _on(service, code, "warning", text, fix, reading.gpu.uuid)


def _either(labels: Sequence[str]) -> str:
    """`0`, `0 or 2`, `0, 2 or 3`."""
    return " or ".join(part for part in (", ".join(labels[:-1]), labels[-1]) if part)


def _on(service: Service, code: str, severity: Severity, text: str, fix: str, gpu: str | None = None) -> Finding:
    return Finding(code=code, severity=severity, text=text, fix=fix, service=service.name, gpu=gpu)
