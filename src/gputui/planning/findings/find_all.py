"""All findings."""

from collections.abc import Mapping, Sequence

from gputui.domain.container import Container
from gputui.domain.event import ApplyRecord
from gputui.domain.finding import SEVERITIES, Finding
from gputui.domain.gpu import Gpu, Reading
from gputui.domain.injection import NOTHING_KNOWN, HostAccess
from gputui.domain.memory import GpuMemory
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
from gputui.planning.findings.gpu_memory import adjusted, below_minimum, does_not_fit, untold
from gputui.planning.findings.injectable import cannot_be_given, given_all, sees_all, to_be_made
from gputui.planning.findings.not_running import ended, fell_back, gone_at_start, launch_failed
from gputui.planning.findings.ownership import depended_on, differs_from_file, not_carried, not_ours
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
    reason: str = "",
    access: HostAccess = NOTHING_KNOWN,
    failures: Mapping[str, str] | None = None,
) -> tuple[Finding, ...]:
    """All findings, most severe first. `containers` are all of the engine's, including those without GPUs; `last` is
    the last apply, `reason` that of the saved revision, `access` how GPUs can reach containers, `failures` why services
    failed in the last apply that included them."""
    findings = [
        *missing_gpus(services, gpus),
        *cannot_be_given([service for service in services if to_be_made(service)], gpus, access),
        *sees_all(services, gpus),
        *given_all(services, gpus),
        *not_ours(services),
        *not_carried(services),
        *depended_on(services, containers),
        *differs_from_file(services),
        *drifted(services),
        *not_applied(services, gpus),
        *open_requests(services, gpus),
        *does_not_fit(services, readings, memory),
        *below_minimum(services, readings),
        *adjusted(services, readings),
        *untold(services, readings),
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
