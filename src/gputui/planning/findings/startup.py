"""What goes wrong at startup although everything fits."""

from collections import defaultdict
from collections.abc import Sequence

from gputui.domain.finding import Finding, Severity
from gputui.domain.gpu import Gpu, labels_by_uuid
from gputui.domain.launch import DEFAULT_SHM_MIB
from gputui.domain.service import Service
from gputui.planning.backends.registry import named
from gputui.planning.findings.about import about
from gputui.planning.needs.serving_address import start_s


def launches(services: Sequence[Service], gpus: Sequence[Gpu]) -> list[Finding]:
    """All startup findings."""
    findings: list[Finding] = []
    for service in services:
        if service.enabled:
            findings += contradictory(service)
            if service.assigned:
                findings += shared_memory(service)
                findings += start_period(service)
    return findings + together(services, gpus) + same_port(services)


def contradictory(service: Service) -> list[Finding]:
    """Conflicting GPU settings in a file or a container."""
    # For an adopted service, the assignment is written into both.
    if service.contradiction is None or service.adopted:
        return []
    text = f"{service.name}: {service.contradiction.text}"
    if service.contradiction.kind == "several-requests":
        return [about(service, "several-requests", "warning", text, "keep one request, with !override in a later file")]
    if service.contradiction.kind == "ignored":
        fix = "give it GPUs with --gpus, or run it with --runtime nvidia"
        return [about(service, "visible-devices", "warning", text, fix)]
    # A setting that the request overrides is harmless; one that hides GPUs from a new container is not.
    severity: Severity = "error" if service.contradiction.kind == "hidden" and service.container is None else "warning"
    return [about(service, "visible-devices", severity, text, "remove the variable: the request alone decides")]


def shared_memory(service: Service) -> list[Finding]:
    """Processes that work together exchange data through /dev/shm, which is 64 MiB by default."""
    shm = service.launch.shm_mib
    if not service.serving.group or service.launch.shares_ipc or shm is None or shm > DEFAULT_SHM_MIB:
        return []
    text = f"{service.name} works on {service.serving.world or 'several'} GPUs together with {shm} MiB of shared memory"
    return [about(service, "small-shm", "warning", text, "set shm_size: 16gb or ipc: host")]


def start_period(service: Service) -> list[Finding]:
    """A healthcheck that counts failures before the model can be loaded: the container restarts forever."""
    if service.container is not None and service.container.health == "healthy":
        return []
    starts, allows = service.launch.start_period_s, service.launch.health_allows_s
    needs = start_s(service)
    if starts is None or allows is None or needs is None or needs <= starts + allows:
        return []
    text = (
        f"{service.name} may load for about {needs / 60:.0f} min, but its healthcheck gives it {starts:.0f} s "
        f"and {allows:.0f} s of failures"
    )
    return [about(service, "start-period", "warning", text, f"set healthcheck.start_period: {_rounded(needs)}s")]


def _rounded(seconds: float) -> int:
    return -(-int(seconds) // 60) * 60


def together(services: Sequence[Service], gpus: Sequence[Gpu]) -> list[Finding]:
    """Two vLLM services starting on one GPU at the same time count each other's memory as their own, and one fails."""
    starting: dict[str, list[Service]] = defaultdict(list)
    for service in services:
        starts = not service.running or (service.adopted and service.requested != service.assigned)
        if named(service.backend).starts_alone and service.enabled and starts:
            for uuid in service.assigned:
                starting[uuid].append(service)
    labels = labels_by_uuid(gpus)
    findings = []
    for uuid, contenders in starting.items():
        if len(contenders) > 1:
            names = " and ".join(contender.name for contender in contenders)
            label = labels.get(uuid, uuid)
            text = f"{names} start on GPU {label}: at the same time, each counts the others' memory as its own"
            fix = "gputui starts them one after the other; without it, start the second when the first is ready"
            findings.append(about(contenders[-1], "vllm-together", "warning", text, fix, uuid))
    return findings


def same_port(services: Sequence[Service]) -> list[Finding]:
    """Two services that publish the same host port: the second cannot start."""
    publishers: dict[tuple[int, str], list[tuple[str, Service]]] = defaultdict(list)
    findings = []
    for service in services:
        if not service.enabled:
            continue
        for address, port, protocol in service.launch.ports:
            for published_address, publisher in publishers[port, protocol]:
                everywhere = {"", "0.0.0.0", "::"}
                clash = address == published_address or address in everywhere or published_address in everywhere
                if clash and publisher.key != service.key:
                    text = f"{service.name} and {publisher.name} both publish port {port} of the host"
                    findings.append(about(service, "port-clash", "warning", text, "give one of them another port"))
            publishers[port, protocol].append((address, service))
    return findings
