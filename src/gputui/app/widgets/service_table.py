"""The service table: current and assigned GPUs, and the state of each service."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from gputui.app.render.columns import COLUMNS, Row, cell
from gputui.app.render.values import age_text
from gputui.app.widgets.row_table import RowTable
from gputui.domain.assignment import Assignment
from gputui.domain.finding import Finding
from gputui.domain.gpu import GpuProcess, Reading, in_runs, labels_by_uuid
from gputui.domain.service import Service, ServiceKey
from gputui.domain.snapshot import Snapshot
from gputui.domain.units import gib


class ServiceTable(RowTable):
    """A table of services, which can be marked."""

    def __init__(self) -> None:
        super().__init__(COLUMNS)
        self.marked: frozenset[ServiceKey] = frozenset()
        self._snapshot: Snapshot | None = None
        self._row_cache: RowCache = {}

    def show_services(self, snapshot: Snapshot) -> None:
        """Update the rows from a snapshot."""
        self._snapshot = snapshot
        self.marked &= {service.key for service in snapshot.services}
        self._row_cache = service_rows(snapshot, self.marked, self._row_cache)
        self.show([row for _, row in self._row_cache.values()])

    @property
    def selected(self) -> Service | None:
        """The service under the cursor."""
        key = self.selected_key
        services = self._snapshot.services if self._snapshot else ()
        return next((service for service in services if str(service.key) == key), None)

    @property
    def targets(self) -> tuple[Service, ...]:
        """The marked services, else the one under the cursor."""
        services = self._snapshot.services if self._snapshot else ()
        marked_services = tuple(service for service in services if service.key in self.marked)
        selection = self.selected
        return marked_services or ((selection,) if selection else ())

    def mark(self) -> None:
        """Toggle the mark of the service under the cursor, and move to the next one."""
        if self.selected is not None:
            self.marked ^= {self.selected.key}
            self._marks_changed()
            self.action_cursor_down()

    def mark_all(self) -> None:
        """Mark all visible services, or none if all are marked."""
        keys = frozenset(ServiceKey.parse(key) for key in self.shown_keys)
        self.marked = frozenset() if keys <= self.marked else keys
        self._marks_changed()

    def unmark(self) -> bool:
        """Remove all marks; returns whether there were any."""
        had_marks, self.marked = bool(self.marked), frozenset()
        if had_marks:
            self._marks_changed()
        return had_marks

    def _marks_changed(self) -> None:
        if self._snapshot is not None:
            self.show_services(self._snapshot)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowParts:
    """The values of a row. `over_mib` is by how much the fullest of its GPUs would be over capacity."""

    service: Service
    saved: Assignment | None
    labels: Mapping[str, str]
    worst: Finding | None
    edited: bool
    marked: bool
    held_mib: int | None
    busy_percent: int | None
    uptime: str
    over_mib: int | None


RowCache = dict[ServiceKey, tuple[RowParts, Row]]


def service_rows(snapshot: Snapshot, marked: frozenset[ServiceKey], previous_rows: RowCache) -> RowCache:
    """A row for each service; unchanged rows are reused from `previous_rows`."""
    labels: Mapping[str, str] = labels_by_uuid(snapshot.inventory.gpus)
    previous_labels = next((parts.labels for parts, _ in previous_rows.values()), None)
    labels = previous_labels if previous_labels == labels else labels  # comparing identical objects is fast
    edited_keys = frozenset(snapshot.draft.changed)
    saved = {assignment.key: assignment for assignment in snapshot.draft.saved.items}
    worst: dict[str, Finding] = {}
    for finding in snapshot.findings:
        if finding.service is not None:
            worst.setdefault(finding.service, finding)
    over = {gpu_memory.uuid: -(gpu_memory.free_after_mib or 0) for gpu_memory in snapshot.memory if gpu_memory.over}
    use = _use(snapshot.readings)
    now_s = time.time()
    rows: RowCache = {}
    for service in snapshot.services:
        container = service.container
        held_mib, busy_percent = use.get(container.id, (None, None)) if container else (None, None)
        parts = RowParts(
            service=service,
            saved=saved.get(service.key),
            labels=labels,
            worst=worst.get(service.name),
            edited=service.key in edited_keys,
            marked=service.key in marked,
            held_mib=held_mib,
            busy_percent=busy_percent,
            uptime=age_text(container.started_at, now_s)
            if container and container.running and container.started_at
            else "–",
            over_mib=max((over[uuid] for uuid in service.assigned if uuid in over), default=None),
        )
        previous_row = previous_rows.get(service.key)
        rows[service.key] = (
            previous_row if previous_row is not None and previous_row[0] == parts else (parts, _row(parts))
        )
    return rows


def _labels(uuids: tuple[str, ...] | None, labels: Mapping[str, str]) -> str:
    if uuids is None:
        return "?"
    return in_runs([labels.get(uuid, f"{uuid[:8]}?") for uuid in uuids]) or "–"


def _row(parts: RowParts) -> Row:
    service, saved, labels = parts.service, parts.saved, parts.labels
    current_gpus = _labels(service.requested, labels) if service.container else "–"
    assigned_gpus = _labels(service.assigned, labels)
    gpus = assigned_gpus if current_gpus == assigned_gpus else f"{current_gpus} → {assigned_gpus}"
    if service.any_gpus is not None:
        gpus = f"any {service.any_gpus}: {assigned_gpus}"
    need = service.requirement
    amount = f"{gib(need.claim_mib):>5} {need.source}" if need.claim_mib is not None else "unknown"
    if service.budget_mib is not None:
        amount = f"{gib(service.budget_mib):>5} budget"
    dim = "" if service.enabled else "dim"
    change = (
        "bold" if parts.edited else ("italic" if saved and saved.adopted and current_gpus != assigned_gpus else dim)
    )
    container, held_mib, busy_percent = service.container, parts.held_mib, parts.busy_percent
    cells = {
        " ": cell("●" if parts.marked else "", "accent"),
        "SERVICE": cell(service.name + (" *" if parts.edited else ""), "bold" if parts.edited else dim),
        "PROJECT": cell(service.key.project or "–", dim),
        "BACKEND": cell(service.backend, dim),
        "MODEL": cell(_short_model(service.model), dim),
        "NEEDS/GPU": cell(amount, dim),
        "BUDGET": cell(gib(service.budget_mib) if service.budget_mib is not None else "–", dim),
        "PRIO": cell(str(service.priority), dim),
        "GPUS": cell(gpus, change),
        "ON": cell(_labels(service.running_on, labels), dim),
        "SM %": cell("–" if busy_percent is None else str(busy_percent), dim),
        "HELD": cell("–" if held_mib is None else gib(held_mib), dim),
        "UP": cell(parts.uptime, dim),
        "RESTARTS": cell(str(container.restart_count) if container else "–", dim),
        "PORTS": cell(_ports(service), dim),
        "IMAGE": cell(service.image, dim),
        "STATE": _state(parts),
    }
    sort = {
        "NEEDS/GPU": service.budget_mib if service.budget_mib is not None else need.claim_mib,
        "BUDGET": service.budget_mib,
        "PRIO": service.priority,
        "SM %": busy_percent,
        "HELD": held_mib,
        "UP": container.started_at if container and container.running else None,
        "RESTARTS": container.restart_count if container else None,
    }
    return Row(key=str(service.key), cells=cells, sort=sort, search_text=_each(service, labels))


def _each(service: Service, labels: Mapping[str, str]) -> str:
    """The labels of all GPUs, for filters: the table shows ranges."""
    return " ".join(labels.get(uuid, "") for uuid in dict.fromkeys((*service.assigned, *(service.requested or ()))))


def _use(readings: Sequence[Reading]) -> dict[str, tuple[int | None, int | None]]:
    """By container id, the memory of its processes on all GPUs, and their highest SM utilization."""
    by_container: dict[str, list[GpuProcess]] = {}
    for reading in readings:
        for process in reading.processes or ():
            if process.container_id is not None:
                by_container.setdefault(process.container_id, []).append(process)
    usage: dict[str, tuple[int | None, int | None]] = {}
    for identity, processes in by_container.items():
        amounts = [process.memory_mib for process in processes if process.memory_mib is not None]
        busy = [process.sm_percent for process in processes if process.sm_percent is not None]
        usage[identity] = (sum(amounts) if amounts else None, max(busy, default=None))
    return usage


def _ports(service: Service) -> str:
    container = service.container
    ports = [f"{port.host_port}→{port.container_port}" for port in container.published] if container else []
    return ",".join(dict.fromkeys(ports)) or "–"


def _short_model(model: str | None) -> str:
    return (model or "–").rstrip("/").rpartition("/")[2][:40]


def _state(parts: RowParts) -> Text:
    service, worst = parts.service, parts.worst
    if worst is not None and worst.severity in ("refusal", "error", "warning"):
        mark = "▲" if worst.severity == "warning" else "✗"
        text = f"{mark} {_in_short(worst.code, parts.over_mib)}"
        # Running is the normal state, and not shown.
        text += "" if service.state == "running" else f", {service.state}"
        return cell(text, "warning" if mark == "▲" else "error")
    container = service.container
    words = [service.state]
    if container is not None and container.health:
        words.append(container.health)
    if container is not None and container.exit_code:
        words.append(f"code {container.exit_code}")
    if not service.enabled:
        words.append("disabled")
    elif service.drift:
        words.append("drift")
    if service.origin == "found" and not service.adopted:
        words.append("found")
    return cell(", ".join(words), _state_style(service))


def _state_style(service: Service) -> str:
    container = service.container
    if not service.enabled:
        return "dim"
    if container is not None and (container.health == "unhealthy" or container.exit_code or container.state == "dead"):
        return "error"
    return "warning" if service.drift else ""


def _in_short(code: str, over_mib: int | None) -> str:
    if code in ("too-big", "sum-too-big", "foreign-memory") and over_mib is not None:
        return f"over by {gib(over_mib)} GiB"
    return code.replace("-", " ").replace("gpu", "GPU")
