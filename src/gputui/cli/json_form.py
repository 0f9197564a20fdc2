"""The JSON output for scripts. Its names are stable; unknown values are null."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gputui.domain.assignment import Assignments
from gputui.domain.container import EngineInfo
from gputui.domain.event import ApplyEvent, ApplyRecord
from gputui.domain.finding import Check, Finding
from gputui.domain.gpu import GpuProcess, Reading
from gputui.domain.gpu_details import GpuDetails
from gputui.domain.injection import MechanismName
from gputui.domain.plan import Plan, Step
from gputui.domain.retention import Removed
from gputui.domain.service import Edit, Service, ServiceKey, distinct_names
from gputui.domain.snapshot import Snapshot
from gputui.domain.suggestion import Suggestion
from gputui.domain.text import mask_secret

SCHEMA_VERSION = 1


def versioned(body: dict[str, Any]) -> dict[str, Any]:
    """An object with its schema version."""
    return {"schema_version": SCHEMA_VERSION, **body}


def doctor_body(checks: Sequence[Check], info: EngineInfo | None, mechanism: MechanismName | None) -> dict[str, Any]:
    """`doctor --json`."""
    can = info.capabilities if info else None
    engine = None
    if info is not None and can is not None:
        engine = {
            "name": info.name,
            "version": info.version,
            "api_version": info.api_version,
            "nvidia_driver": can.nvidia_driver,
            "cdi": can.cdi,
            "cdi_devices": None if can.cdi_devices is None else [device.name for device in can.cdi_devices],
            "runtimes": list(can.runtimes),
            "default_runtime": can.default_runtime,
            "cgroup_driver": can.cgroup_driver,
            "rootless": can.rootless,
        }
    entries = [{"name": check.name, "state": check.state, "text": check.text, "fix": check.fix} for check in checks]
    return versioned({"checks": entries, "engine": engine, "mechanism": mechanism})


def gpus_body(snapshot: Snapshot) -> dict[str, Any]:
    """`gpus --json`."""
    body: dict[str, Any] = {"gpus": [_gpu(reading, snapshot) for reading in snapshot.readings]}
    body |= {
        "driver_version": snapshot.inventory.driver_version,
        "reason": snapshot.inventory.reason,
        "simulated": snapshot.simulated,
        "links": [{"one": link.gpu, "other": link.peer, "link": link.text} for link in snapshot.inventory.links],
    }
    return versioned(body)


def suggestion_body(suggestion: Suggestion, snapshot: Snapshot) -> dict[str, Any]:
    """`suggest --json`."""
    indices = {gpu.uuid: gpu.index for gpu in snapshot.inventory.gpus}
    everything = (*suggestion.assignments, *suggestion.fixed)
    return versioned(
        {
            "strategy": suggestion.strategy,
            "reserve_mib": suggestion.reserve_mib,
            "proved_best": suggestion.proved_best,
            "assignments": {
                placed.name: {
                    "gpus": list(placed.gpus),
                    "indices": [indices.get(uuid) for uuid in placed.gpus],
                    "budget_mib": placed.budget_mib,
                    "moved": placed.moved,
                }
                for placed in everything
            },
            "fixed": [placed.name for placed in suggestion.fixed],
            "moves": suggestion.moves,
            "down_s": suggestion.down_s,
            "unplaced": [{"service": unplaced.name, "reason": unplaced.reason} for unplaced in suggestion.unplaced],
            "gpus": [
                {
                    "uuid": load.uuid,
                    "index": indices.get(load.uuid),
                    "planned_mib": load.planned_mib,
                    "foreign_mib": load.foreign_mib,
                    "free_after_mib": load.free_after_mib,
                }
                for load in suggestion.gpus
            ],
            "notes": list(suggestion.notes),
        }
    )


def _gpu(reading: Reading, snapshot: Snapshot) -> dict[str, Any]:
    gpu = reading.gpu
    processes = reading.processes
    return {
        "index": gpu.index,
        "mig_index": gpu.mig_index,
        "uuid": gpu.uuid,
        "parent_uuid": gpu.parent_uuid,
        "name": gpu.name,
        "pci_bus_id": gpu.pci_bus_id,
        "compute_capability": gpu.compute_capability,
        "memory_bandwidth_gb_s": gpu.memory_bandwidth_gb_s,
        "island": gpu.island,
        "memory_total_mib": reading.memory_total_mib,
        "memory_used_mib": reading.memory_used_mib,
        "memory_reserved_mib": reading.memory_reserved_mib,
        "memory_free_mib": reading.memory_free_mib,
        "utilization_percent": reading.utilization_percent,
        "temperature_c": reading.temperature_c,
        "power_w": reading.power_w,
        "power_limit_w": reading.power_limit_w,
        "clock_sm_mhz": reading.clock_sm_mhz,
        "throttle_reasons": list(reading.throttle_reasons),
        "unified_memory": reading.gpu.unified_memory,
        "mig_enabled": gpu.mig_enabled,
        "state": reading.state,
        "reason": reading.reason,
        "age_s": round(max(0.0, snapshot.taken_at - reading.taken_at), 3),
        "processes": None if processes is None else [process_entry(process, snapshot) for process in processes],
        "numa_node": gpu.numa_node,
        "details": _details(reading.details),
    }


def timestamp(epoch_s: float) -> str:
    """Seconds since the epoch as ISO-8601."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="seconds")


def _details(details: GpuDetails | None) -> dict[str, Any] | None:
    if details is None:
        return None
    body = dataclasses.asdict(details)
    if details.xid is not None:
        body["xid"] = {"code": details.xid.code, "at": timestamp(details.xid.at)}
    return {**body, "taken_at": timestamp(details.taken_at), "faults": list(details.faults)}


def process_entry(process: GpuProcess, snapshot: Snapshot) -> dict[str, Any]:
    """A process with the container and the service that it belongs to."""
    owner = owner_of(process, snapshot)
    container = owner.container.name if owner and owner.container else None
    return {
        "pid": process.pid,
        "memory_mib": process.memory_mib,
        "sm_percent": process.sm_percent,
        "started_at": None if process.started_at is None else timestamp(process.started_at),
        "user": process.user,
        "command": process.command,
        "container": container or (process.container_id[:12] if process.container_id else None),
        "service": owner.name if owner else None,
    }


def owner_of(process: GpuProcess, snapshot: Snapshot) -> Service | None:
    """The service whose container the process belongs to."""
    if process.container_id is None:
        return None
    return next(
        (
            service
            for service in snapshot.services
            if service.container and service.container.id == process.container_id
        ),
        None,
    )


def processes_body(snapshot: Snapshot) -> dict[str, Any]:
    """`processes --json`."""
    entries = [
        {"gpu": reading.gpu.uuid, "gpu_index": reading.gpu.label, **process_entry(process, snapshot)}
        for reading in snapshot.readings
        for process in reading.processes or ()
    ]
    return versioned({"processes": entries})


def services_body(snapshot: Snapshot) -> dict[str, Any]:
    """`services --json`."""
    return versioned({"services": [_service(service, snapshot) for service in snapshot.services]})


def _service(service: Service, snapshot: Snapshot) -> dict[str, Any]:
    by_uuid = {gpu.uuid: gpu for gpu in snapshot.inventory.gpus}
    container = service.container
    return {
        "name": service.name,
        "project": service.key.project,
        "replica": service.key.replica,
        "origin": service.origin,
        "adopted": service.adopted,
        "backend": service.backend,
        "model": service.model,
        "image": service.image,
        "container_id": container.id if container else None,
        "container": container.name if container else None,
        "enabled": service.enabled,
        "state": container.state if container else service.state,
        "is_last_seen": bool(container and container.is_last_seen),
        "health": container.health if container else None,
        "assigned": list(service.assigned),
        "any_gpus": service.any_gpus,
        "assigned_indices": [by_uuid[uuid].index for uuid in service.assigned if uuid in by_uuid],
        "requested": None if service.requested is None else list(service.requested),
        "running_on": list(service.running_on),
        "drift": list(service.drift),
        "requirement": {
            "minimum_mib": service.requirement.minimum_mib,
            "claim_mib": service.requirement.claim_mib,
            "source": service.requirement.source,
        },
        "memory": _memory(service),
        "budget_mib": service.budget_mib,
        "edits": [_edit(edit) for edit in service.edits],
    }


def _memory(service: Service) -> dict[str, Any]:
    """What the files predict, what the program reported, and the weights' error (0.02: predicted 2 % too much)."""
    measured = service.measured
    return {
        "predicted": {"weights_mib": service.requirement.weights_mib},
        "measured": None if measured is None else dataclasses.asdict(measured),
        "error": service.prediction_error,
    }


def _edit(edit: Edit) -> dict[str, Any]:
    value = None if edit.value is None else mask_secret(edit.argument, edit.value)
    return {"argument": edit.argument, "value": value, "reason": edit.reason}


def assigned_body(
    saved: Assignments, service: Service, findings: Sequence[Finding], snapshot: Snapshot
) -> dict[str, Any]:
    """`assign --json`: the saved revision, the service as it is assigned, and its findings."""
    body = {
        "revision": saved.revision,
        "service": _service(service, snapshot),
        "findings": [finding_entry(finding) for finding in findings],
    }
    return versioned(body)


def findings_body(findings: tuple[Finding, ...]) -> dict[str, Any]:
    """`findings --json`."""
    return versioned({"findings": [finding_entry(finding) for finding in findings]})


def finding_entry(finding: Finding) -> dict[str, Any]:
    """One finding."""
    return {
        "code": finding.code,
        "severity": finding.severity,
        "service": finding.service,
        "gpu": finding.gpu,
        "text": finding.text,
        "fix": finding.fix,
        "edits": [_edit(edit) for edit in finding.edits],
    }


def plan_body(plan: Plan) -> dict[str, Any]:
    """`plan --json`: the steps that change something."""
    names = {step.service: step.name for step in plan.steps}
    return versioned(
        {
            "revision": plan.revision,
            "steps": [_step(step, names) for step in plan.doing],
            "findings": [finding_entry(finding) for finding in plan.findings],
        }
    )


def _step(step: Step, names: Mapping[ServiceKey, str]) -> dict[str, Any]:
    return {
        "action": step.action,
        "service": step.name,
        "cause": step.cause,
        "gpus": list(step.view.gpus) if step.view else [],
        "cuda_visible_devices": step.view.cuda_visible_devices if step.view else None,
        "edits": [_edit(edit) for edit in step.edits],
        "diff": list(step.diff),
        "unit": step.unit,
        "after": [names[key] for key in step.after],
        "writable_layer_bytes": step.layer.size_bytes if step.layer else None,
    }


def event_entry(event: ApplyEvent) -> dict[str, Any]:
    """One line of `apply --json`."""
    return {
        "number": event.number,
        "at": event.at,
        "kind": event.kind,
        "progress": event.progress,
        "service": event.service,
        "text": event.text,
    }


def result_entry(record: ApplyRecord) -> dict[str, Any]:
    """The last line of `apply --json`."""
    body = {"result": record.result, "services": dict(record.services), "apply": record.id, "message": record.message}
    return versioned(body)


def removed_body(removed: Removed, *, dry_run: bool) -> dict[str, Any]:
    """`clean --json`."""
    counts = {"applies": removed.applies, "revisions": removed.revisions, "logs": removed.logs}
    return versioned({"removed": counts, "dry_run": dry_run, "bytes": removed.size[1], "bytes_before": removed.size[0]})


def history_body(revisions: tuple[Assignments, ...], applies: tuple[ApplyRecord, ...]) -> dict[str, Any]:
    """`history --json`."""
    return versioned(
        {
            "revisions": [_revision(revision) for revision in revisions],
            "applies": [apply_entry(record) for record in applies],
        }
    )


def _revision(revision: Assignments) -> dict[str, Any]:
    names = distinct_names([item.key for item in revision.items])
    return {
        "revision": revision.revision,
        "saved_at": revision.saved_at,
        "author": revision.author,
        "reason": revision.reason.text,
        "reason_kind": revision.reason.kind,
        "assignments": {
            names[item.key]: {"gpus": list(item.gpus), "enabled": item.enabled, "adopted": item.adopted}
            for item in revision.items
        },
    }


def apply_entry(record: ApplyRecord) -> dict[str, Any]:
    """One apply of the history."""
    return {
        "id": record.id,
        "revision": record.revision,
        "operator": record.operator,
        "reason": record.reason.text,
        "reason_kind": record.reason.kind,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "result": "cut off" if record.cut_off else record.result,
        "services": dict(record.services),
        "message": record.message,
    }
