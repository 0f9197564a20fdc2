"""All findings."""

from collections.abc import Mapping, Sequence

from gputui.domain.assignment import NO_REASON
from gputui.domain.container import Container
from gputui.domain.event import ApplyRecord
from gputui.domain.finding import SEVERITIES, Finding
from gputui.domain.gpu import Gpu, Reading
from gputui.domain.injection import NOTHING_KNOWN, HostAccess
from gputui.domain.memory import GpuMemory
from gputui.domain.message import Message
from gputui.domain.service import Service
from gputui.planning.findings.assigned_gpus import (
    drifted,
    lost_gpus,
    missing_gpus,
    not_applied,
    open_requests,
    without_gpu,
)
from gputui.planning.findings.gpu_health import unwell
from gputui.planning.findings.gpu_memory import adjusted, below_minimum, does_not_fit, fraction_untold
from gputui.planning.findings.injectable import cannot_be_given, needs_container, requested_all, sees_all
from gputui.planning.findings.not_running import ended, fell_back, gone_at_start, launch_failed
from gputui.planning.findings.ownership import differs_from_file, not_ours, shared_namespaces, unsupported_keys
from gputui.planning.findings.parallel import unsuitable
from gputui.planning.findings.served_model import models
from gputui.planning.findings.startup import launches


def find_all(
    services: Sequence[Service],
    gpus: Sequence[Gpu],
    readings: Sequence[Reading],
    memory: Sequence[GpuMemory],
    containers: Sequence[Container] = (),
    last: ApplyRecord | None = None,
    reason: Message = NO_REASON,
    access: HostAccess = NOTHING_KNOWN,
    failures: Mapping[str, str] | None = None,
) -> tuple[Finding, ...]:
    """All findings, most severe first. `containers` are all of the engine's, including those without GPUs; `last` is
    the last apply, `reason` that of the saved revision, `access` how GPUs can reach containers, `failures` why services
    failed in the last apply that included them."""
    findings = [
        *missing_gpus(services, gpus),
        *cannot_be_given([service for service in services if needs_container(service)], gpus, access),
        *sees_all(services, gpus),
        *requested_all(services, gpus),
        *not_ours(services),
        *unsupported_keys(services),
        *shared_namespaces(services, containers),
        *differs_from_file(services),
        *drifted(services),
        *not_applied(services, gpus),
        *open_requests(services, gpus),
        *does_not_fit(services, readings, memory),
        *below_minimum(services, readings),
        *adjusted(services, readings),
        *fraction_untold(services, readings),
        *unsuitable(services, gpus, memory),
        *models(services),
        *launches(services, gpus),
        *lost_gpus(services, readings),
        *unwell(readings),
        *gone_at_start(services, gpus, last),
        *fell_back(services, reason),
        *ended(services),
        *launch_failed(services, failures or {}),
        *without_gpu(services),
    ]
    return tuple(sorted(findings, key=lambda finding: (SEVERITIES.index(finding.severity), finding.service or "")))
