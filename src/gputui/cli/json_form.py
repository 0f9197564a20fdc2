"""The JSON that scripts read. Its names are stable; unknown is null."""

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
    """One object with the version of its form."""
    return {"schema_version": SCHEMA_VERSION, **body}


def doctor(checks: Sequence[Check], info: EngineInfo | None, mechanism: MechanismName | None) -> dict[str, Any]:
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
    listed = [{"name": one.name, "state": one.state, "text": one.text, "fix": one.fix} for one in checks]
    return versioned({"checks": listed, "engine": engine, "mechanism": mechanism})


def gpus(snapshot: Snapshot) -> dict[str, Any]:
    """`gpus --json`."""
    body: dict[str, Any] = {"gpus": [_gpu(reading, snapshot) for reading in snapshot.readings]}
    body |= {
        "driver_version": snapshot.inventory.driver_version,
        "reason": snapshot.inventory.reason,
        "simulated": snapshot.simulated,
        "links": [{"one": one.gpu, "other": one.peer, "link": one.text} for one in snapshot.inventory.links],
    }
    return versioned(body)


def suggestion(found: Suggestion, snapshot: Snapshot) -> dict[str, Any]:
    """`suggest --json`."""
    indices = {gpu.uuid: gpu.index for gpu in snapshot.inventory.gpus}
    everything = (*found.assignments, *found.fixed)
    return versioned(
        {
            "strategy": found.strategy,
            "reserve_mib": found.reserve_mib,
            "proved_best": found.proved_best,
            "assignments": {
                one.name: {
                    "gpus": list(one.gpus),
                    "indices": [indices.get(uuid) for uuid in one.gpus],
                    "budget_mib": one.budget_mib,
                    "moved": one.moved,
                }
                for one in everything
            },
            "fixed": [one.name for one in found.fixed],
            "moves": found.moves,
            "down_s": found.down_s,
            "unplaced": [{"service": one.name, "reason": one.reason} for one in found.unplaced],
            "gpus": [
                {
                    "uuid": one.uuid,
                    "index": indices.get(one.uuid),
                    "planned_mib": one.planned_mib,
                    "foreign_mib": one.foreign_mib,
                    "free_after_mib": one.free_after_mib,
                }
                for one in found.gpus
            ],
            "notes": list(found.notes),
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
        "processes": None if processes is None else [process(one, snapshot) for one in processes],
        "numa_node": gpu.numa_node,
        "details": _details(reading.details),
    }


def timestamp(at: float) -> str:
    """Seconds since the epoch as ISO-8601."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _details(details: GpuDetails | None) -> dict[str, Any] | None:
    if details is None:
        return None
    body = dataclasses.asdict(details)
    if details.xid is not None:
        body["xid"] = {"code": details.xid.code, "at": timestamp(details.xid.at)}
    return {**body, "taken_at": timestamp(details.taken_at), "faults": list(details.faults)}


def process(one: GpuProcess, snapshot: Snapshot) -> dict[str, Any]:
    """A process with the container and the service that it belongs to."""
    owner = owner_of(one, snapshot)
    container = owner.container.name if owner and owner.container else None
    return {
        "pid": one.pid,
        "memory_mib": one.memory_mib,
        "sm_percent": one.sm_percent,
        "started_at": None if one.started_at is None else timestamp(one.started_at),
        "user": one.user,
        "command": one.command,
        "container": container or (one.container_id[:12] if one.container_id else None),
        "service": owner.name if owner else None,
    }


def owner_of(one: GpuProcess, snapshot: Snapshot) -> Service | None:
    """The service whose container the process belongs to."""
    if one.container_id is None:
        return None
    return next((s for s in snapshot.services if s.container and s.container.id == one.container_id), None)


def processes(snapshot: Snapshot) -> dict[str, Any]:
    """`processes --json`."""
    found = [
        {"gpu": reading.gpu.uuid, "gpu_index": reading.gpu.label, **process(one, snapshot)}
        for reading in snapshot.readings
        for one in reading.processes or ()
    ]
    return versioned({"processes": found})


def services(snapshot: Snapshot) -> dict[str, Any]:
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
        "edits": [_edit(one) for one in service.edits],
    }


def _memory(service: Service) -> dict[str, Any]:
    """What the files predict, what the program said, and how far off the weights are (0.02: predicted 2 % too much)."""
    measured = service.measured
    return {
        "predicted": {"weights_mib": service.requirement.weights_mib},
        "measured": None if measured is None else dataclasses.asdict(measured),
        "error": service.prediction_error,
    }


def _edit(one: Edit) -> dict[str, Any]:
    value = None if one.value is None else mask_secret(one.argument, one.value)
    return {"argument": one.argument, "value": value, "reason": one.reason}


def assigned(saved: Assignments, service: Service, found: Sequence[Finding], snapshot: Snapshot) -> dict[str, Any]:
    """`assign --json`: the revision that was saved, the service as it is assigned, and what is to be said of it."""
    body = {
        "revision": saved.revision,
        "service": _service(service, snapshot),
        "findings": [finding(one) for one in found],
    }
    return versioned(body)


def findings(found: tuple[Finding, ...]) -> dict[str, Any]:
    """`findings --json`."""
    return versioned({"findings": [finding(one) for one in found]})


def finding(one: Finding) -> dict[str, Any]:
    """One finding."""
    return {
        "code": one.code,
        "severity": one.severity,
        "service": one.service,
        "gpu": one.gpu,
        "text": one.text,
        "fix": one.fix,
        "edits": [_edit(change) for change in one.edits],
    }


def plan(found: Plan) -> dict[str, Any]:
    """`plan --json`: the steps that do something."""
    names = {step.service: step.name for step in found.steps}
    return versioned(
        {
            "revision": found.revision,
            "steps": [_step(step, names) for step in found.doing],
            "findings": [finding(one) for one in found.findings],
        }
    )


def _step(step: Step, names: Mapping[ServiceKey, str]) -> dict[str, Any]:
    return {
        "action": step.action,
        "service": step.name,
        "cause": step.cause,
        "gpus": list(step.view.gpus) if step.view else [],
        "cuda_visible_devices": step.view.cuda_visible_devices if step.view else None,
        "edits": [_edit(one) for one in step.edits],
        "diff": list(step.diff),
        "unit": step.unit,
        "after": [names[key] for key in step.after],
        "writable_layer_bytes": step.layer.size_bytes if step.layer else None,
    }


def event(one: ApplyEvent) -> dict[str, Any]:
    """One line of `apply --json`."""
    return {
        "number": one.number,
        "at": one.at,
        "kind": one.kind,
        "progress": one.progress,
        "service": one.service,
        "text": one.text,
    }


def result(record: ApplyRecord) -> dict[str, Any]:
    """The last line of `apply --json`."""
    body = {"result": record.result, "services": dict(record.services), "apply": record.id, "message": record.message}
    return versioned(body)


def removed(found: Removed, *, dry_run: bool) -> dict[str, Any]:
    """`clean --json`."""
    counts = {"applies": found.applies, "revisions": found.revisions, "logs": found.logs}
    return versioned({"removed": counts, "dry_run": dry_run, "bytes": found.size[1], "bytes_before": found.size[0]})


def history(revisions: tuple[Assignments, ...], applies: tuple[ApplyRecord, ...]) -> dict[str, Any]:
    """`history --json`."""
    return versioned(
        {
            "revisions": [_revision(one) for one in revisions],
            "applies": [apply(one) for one in applies],
        }
    )


def _revision(one: Assignments) -> dict[str, Any]:
    names = distinct_names([item.key for item in one.items])
    return {
        "revision": one.revision,
        "saved_at": one.saved_at,
        "author": one.author,
        "reason": one.reason.text,
        "reason_kind": one.reason.kind,
        "assignments": {
            names[item.key]: {"gpus": list(item.gpus), "enabled": item.enabled, "adopted": item.adopted}
            for item in one.items
        },
    }


def apply(one: ApplyRecord) -> dict[str, Any]:
    """One apply of the history."""
    return {
        "id": one.id,
        "revision": one.revision,
        "operator": one.operator,
        "reason": one.reason.text,
        "reason_kind": one.reason.kind,
        "started_at": one.started_at,
        "ended_at": one.ended_at,
        "result": "cut off" if one.cut_off else one.result,
        "services": dict(one.services),
        "message": one.message,
    }
