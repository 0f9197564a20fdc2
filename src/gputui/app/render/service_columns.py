"""The columns of the service table: each with its title, its width, what it shows of a service, and its sort key.

A new column is one more entry of `SERVICE_COLUMNS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rich.text import Text

from gputui.app.render.columns import Column, Row, SortKey, cell
from gputui.domain.assignment import Assignment
from gputui.domain.finding import Finding
from gputui.domain.gpu import in_runs
from gputui.domain.service import Service
from gputui.domain.units import gib


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceColumn:
    """A column, what it shows (text has the style of the row), and what it is sorted by; None: by its text."""

    column: Column
    show: Callable[[RowParts], str | Text]
    sort: Callable[[RowParts], SortKey | None] | None = None


def service_row(parts: RowParts) -> Row:
    """The row of a service."""
    dim = "" if parts.service.enabled else "dim"
    cells, sort = {}, {}
    for entry in SERVICE_COLUMNS:
        content = entry.show(parts)
        cells[entry.column.title] = cell(content, dim) if isinstance(content, str) else content
        if entry.sort is not None:
            sort[entry.column.title] = entry.sort(parts)
    return Row(key=str(parts.service.key), cells=cells, sort=sort, search_text=_each(parts.service, parts.labels))


def _labels(uuids: tuple[str, ...] | None, labels: Mapping[str, str]) -> str:
    if uuids is None:
        return "?"
    return in_runs([labels.get(uuid, f"{uuid[:8]}?") for uuid in uuids]) or "–"


def _each(service: Service, labels: Mapping[str, str]) -> str:
    """The labels of all GPUs, for filters: the table shows ranges."""
    return " ".join(labels.get(uuid, "") for uuid in dict.fromkeys((*service.assigned, *(service.requested or ()))))


def _name(parts: RowParts) -> Text:
    style = "bold" if parts.edited else "" if parts.service.enabled else "dim"
    return cell(parts.service.name + (" *" if parts.edited else ""), style)


def _needs(parts: RowParts) -> str:
    service = parts.service
    if service.budget_mib is not None:
        return f"{gib(service.budget_mib):>5} budget"
    need = service.requirement
    return f"{gib(need.claim_mib):>5} {need.source}" if need.claim_mib is not None else "unknown"


def _needed_mib(parts: RowParts) -> int | None:
    budget_mib = parts.service.budget_mib
    return budget_mib if budget_mib is not None else parts.service.requirement.claim_mib


def _gpus(parts: RowParts) -> Text:
    service, saved, labels = parts.service, parts.saved, parts.labels
    current = _labels(service.requested, labels) if service.container else "–"
    assigned = _labels(service.assigned, labels)
    text = assigned if current == assigned else f"{current} → {assigned}"
    if service.any_gpus is not None:
        text = service.assigned_text(assigned)
    if parts.edited:
        return cell(text, "bold")
    differs = saved is not None and saved.adopted and current != assigned
    return cell(text, "italic" if differs else "" if service.enabled else "dim")


def _or_dash(text: object) -> str:
    return "–" if text is None else str(text)


def _started_at(parts: RowParts) -> str | None:
    container = parts.service.container
    return container.started_at if container and container.running else None


def _restarts(parts: RowParts) -> int | None:
    return parts.service.container.restart_count if parts.service.container else None


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
        words.append("unmanaged")
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


SERVICE_COLUMNS = (
    ServiceColumn(column=Column(title=" ", width=1), show=lambda parts: cell("●" if parts.marked else "", "accent")),
    ServiceColumn(column=Column(title="SERVICE", width=16, grows=True, widest=48), show=_name),
    ServiceColumn(
        column=Column(title="PROJECT", width=10, rank=9, extra=True),
        show=lambda parts: parts.service.key.project or "–",
    ),
    ServiceColumn(column=Column(title="BACKEND", width=10, rank=5), show=lambda parts: parts.service.backend),
    ServiceColumn(
        column=Column(title="MODEL", width=16, rank=6, grows=True, widest=48),
        show=lambda parts: _short_model(parts.service.model),
    ),
    ServiceColumn(column=Column(title="NEEDS/GPU", width=14, rank=2), show=_needs, sort=_needed_mib),
    ServiceColumn(
        column=Column(title="BUDGET", width=8, rank=8, extra=True, numeric=True),
        show=lambda parts: "–" if parts.service.budget_mib is None else gib(parts.service.budget_mib),
        sort=lambda parts: parts.service.budget_mib,
    ),
    ServiceColumn(
        column=Column(title="PRIO", width=5, rank=8, extra=True, numeric=True),
        show=lambda parts: str(parts.service.priority),
        sort=lambda parts: parts.service.priority,
    ),
    ServiceColumn(column=Column(title="GPUS", width=11), show=_gpus),
    ServiceColumn(
        column=Column(title="ON", width=5, rank=3), show=lambda parts: _labels(parts.service.running_on, parts.labels)
    ),
    ServiceColumn(
        column=Column(title="SM %", width=4, rank=7, extra=True, numeric=True),
        show=lambda parts: _or_dash(parts.busy_percent),
        sort=lambda parts: parts.busy_percent,
    ),
    ServiceColumn(
        column=Column(title="HELD", width=6, rank=7, extra=True, numeric=True),
        show=lambda parts: "–" if parts.held_mib is None else gib(parts.held_mib),
        sort=lambda parts: parts.held_mib,
    ),
    ServiceColumn(
        column=Column(title="UP", width=6, rank=4, extra=True, numeric=True),
        show=lambda parts: parts.uptime,
        sort=_started_at,
    ),
    ServiceColumn(
        column=Column(title="RESTARTS", width=8, rank=8, extra=True, numeric=True),
        show=lambda parts: _or_dash(_restarts(parts)),
        sort=_restarts,
    ),
    ServiceColumn(column=Column(title="PORTS", width=12, rank=8, extra=True), show=lambda parts: _ports(parts.service)),
    ServiceColumn(
        column=Column(title="IMAGE", width=20, rank=9, grows=True, extra=True), show=lambda parts: parts.service.image
    ),
    ServiceColumn(column=Column(title="STATE", width=27), show=_state),
)

COLUMNS = tuple(entry.column for entry in SERVICE_COLUMNS)

COLUMN_TITLES = tuple(column.title for column in COLUMNS if column.rank)
"""Those that can be chosen; the others are always there."""
