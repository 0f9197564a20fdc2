"""Whether the assigned GPUs can be passed to a container on this host at all."""

from collections.abc import Sequence

from gputui.domain.container import Container
from gputui.domain.errors import GputuiError
from gputui.domain.finding import Finding
from gputui.domain.gpu import Gpu, labels_by_uuid
from gputui.domain.injection import CDI_KIND, HostAccess
from gputui.domain.service import Service
from gputui.planning.changes.container_view import view_of
from gputui.planning.findings.about import about


def cannot_be_given(services: Sequence[Service], gpus: Sequence[Gpu], access: HostAccess) -> list[Finding]:
    """Services that cannot get their GPUs by any GPU injection method of the engine. GPUs that are missing or split
    into instances, and an instance beside another GPU, are reported elsewhere."""
    by_uuid = {gpu.uuid: gpu for gpu in gpus if gpu.assignable}
    findings = []
    for service in services:
        assigned = [by_uuid.get(uuid) for uuid in service.assigned]
        among_others = len(assigned) > 1 and any(gpu is not None and gpu.parent_uuid for gpu in assigned)
        if not assigned or None in assigned or among_others:
            continue
        try:
            view_of(service, gpus, service.assigned, access)
        except GputuiError as error:
            text = f"{service.name} cannot be given its GPUs: {error.what}"
            findings.append(about(service, "gpu-out-of-reach", "refusal", text, error.fix))
    return findings


def needs_container(service: Service) -> bool:
    """Whether an apply would create its container, for its GPUs or because it has none."""
    if not service.enabled:
        return False
    return service.container is None or (service.adopted and service.requested != service.assigned)


def sees_all(services: Sequence[Service], gpus: Sequence[Gpu]) -> list[Finding]:
    """Containers that see every GPU of the host, whatever they are assigned: only the variables restrict them."""
    findings = []
    for service in services:
        if not service.sees_all_devices or len(gpus) < 2:
            continue
        text = f"{service.name} is privileged or has /dev mounted: it sees all GPUs, whatever is assigned to it"
        fix = "programs that honour CUDA_VISIBLE_DEVICES keep to their own; remove privileged where it is not needed"
        findings.append(about(service, "sees-all-gpus", "warning" if service.adopted else "info", text, fix))
    return findings


def requested_all(services: Sequence[Service], gpus: Sequence[Gpu]) -> list[Finding]:
    """Containers started with all GPUs: where they may run, and where they do."""
    labels = labels_by_uuid(gpus)
    findings = []
    for service in services:
        container = service.container
        if container is None or service.adopted or not service.running or not _asked_for_all(container):
            continue
        gpu_list = ", ".join(labels.get(uuid, uuid) for uuid in service.running_on)
        where = f"its processes are on GPU {gpu_list}" if gpu_list else "none of its processes was seen on one"
        text = f"{service.name} was started with all GPUs: it may use any of them; {where}"
        findings.append(about(service, "given-all-gpus", "info", text, "assign it the ones that it needs"))
    return findings


def _asked_for_all(container: Container) -> bool:
    request = container.gpu_request
    if request is not None:
        return request.count == -1 or f"{CDI_KIND}=all" in request.device_ids or "all" in request.device_ids
    return container.runtime == "nvidia" and container.gpu_environment.get("NVIDIA_VISIBLE_DEVICES") == "all"
