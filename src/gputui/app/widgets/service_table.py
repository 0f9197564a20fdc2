"""The table: which service has which GPUs, wants which, and how it is."""

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
    """Rows keyed by service; some of them marked."""

    def __init__(self) -> None:
        super().__init__(COLUMNS)
        self.marked: frozenset[ServiceKey] = frozenset()
        self._snapshot: Snapshot | None = None
        self._made: MadeRows = {}

    def show_services(self, snapshot: Snapshot) -> None:
        """Bring the rows in line with the snapshot."""
        self._snapshot = snapshot
        self.marked &= {service.key for service in snapshot.services}
        self._made = service_rows(snapshot, self.marked, self._made)
        self.show([row for _, row in self._made.values()])

    @property
    def selected(self) -> Service | None:
        """The service under the cursor."""
        key = self.selected_key
        services = self._snapshot.services if self._snapshot else ()
        return next((service for service in services if str(service.key) == key), None)

    @property
    def targets(self) -> tuple[Service, ...]:
        """The marked services in their order, else the one under the cursor."""
        services = self._snapshot.services if self._snapshot else ()
        marked = tuple(service for service in services if service.key in self.marked)
        one = self.selected
        return marked or ((one,) if one else ())

    def mark(self) -> None:
        """Mark the service under the cursor, or take its mark away, and go on to the next."""
        if self.selected is not None:
            self.marked ^= {self.selected.key}
            self._marks_changed()
            self.action_cursor_down()

    def mark_all(self) -> None:
        """Mark all that are shown; none, where all are marked."""
        shown = frozenset(ServiceKey.parse(key) for key in self.shown_keys)
        self.marked = frozenset() if shown <= self.marked else shown
        self._marks_changed()

    def unmark(self) -> bool:
        """Take all marks away; whether there were any."""
        had, self.marked = bool(self.marked), frozenset()
        if had:
            self._marks_changed()
        return had

    def _marks_changed(self) -> None:
        if self._snapshot is not None:
            self.show_services(self._snapshot)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowParts:
    """All that the row of a service shows. `over_mib` is by how much the fullest of its GPUs would be too full."""

    service: Service
    saved: Assignment | None
    labels: Mapping[str, str]
    worst: Finding | None
    edited: bool
    marked: bool
    held_mib: int | None
    busy_percent: int | None
    up: str
    over_mib: int | None


MadeRows = dict[ServiceKey, tuple[RowParts, Row]]


def service_rows(snapshot: Snapshot, marked: frozenset[ServiceKey], before: MadeRows) -> MadeRows:
    """A row for each service; one that shows the same as `before` is taken from there."""
    labels: Mapping[str, str] = labels_by_uuid(snapshot.inventory.gpus)
    known = next((parts.labels for parts, _ in before.values()), None)
    labels = known if known == labels else labels  # the same object is compared at once
    changed = frozenset(snapshot.draft.changed)
    saved = {item.key: item for item in snapshot.draft.saved.items}
    worst: dict[str, Finding] = {}
    for finding in snapshot.findings:
        if finding.service is not None:
            worst.setdefault(finding.service, finding)
    over = {one.uuid: -(one.free_after_mib or 0) for one in snapshot.memory if one.over}
    use = _use(snapshot.readings)
    now = time.time()
    made: MadeRows = {}
    for service in snapshot.services:
        container = service.container
        held, busy = use.get(container.id, (None, None)) if container else (None, None)
        parts = RowParts(
            service=service,
            saved=saved.get(service.key),
            labels=labels,
            worst=worst.get(service.name),
            edited=service.key in changed,
            marked=service.key in marked,
            held_mib=held,
            busy_percent=busy,
            up=age_text(container.started_at, now) if container and container.running and container.started_at else "–",
            over_mib=max((over[uuid] for uuid in service.assigned if uuid in over), default=None),
        )
        one = before.get(service.key)
        made[service.key] = one if one is not None and one[0] == parts else (parts, _row(parts))
    return made


def _labels(uuids: tuple[str, ...] | None, labels: Mapping[str, str]) -> str:
    if uuids is None:
        return "?"
    return in_runs([labels.get(uuid, f"{uuid[:8]}?") for uuid in uuids]) or "–"


def _row(parts: RowParts) -> Row:
    service, saved, labels = parts.service, parts.saved, parts.labels
    now = _labels(service.requested, labels) if service.container else "–"
    wanted = _labels(service.assigned, labels)
    gpus = wanted if now == wanted else f"{now} → {wanted}"
    if service.any_gpus is not None:
        gpus = f"any {service.any_gpus}: {wanted}"
    need = service.requirement
    amount = f"{gib(need.claim_mib):>5} {need.source}" if need.claim_mib is not None else "unknown"
    if service.budget_mib is not None:
        amount = f"{gib(service.budget_mib):>5} budget"
    dim = "" if service.enabled else "dim"
    change = "bold" if parts.edited else ("italic" if saved and saved.adopted and now != wanted else dim)
    container, held, busy = service.container, parts.held_mib, parts.busy_percent
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
        "SM %": cell("–" if busy is None else str(busy), dim),
        "HELD": cell("–" if held is None else gib(held), dim),
        "UP": cell(parts.up, dim),
        "RESTARTS": cell(str(container.restart_count) if container else "–", dim),
        "PORTS": cell(_ports(service), dim),
        "IMAGE": cell(service.image, dim),
        "STATE": _state(parts),
    }
    sort = {
        "NEEDS/GPU": service.budget_mib if service.budget_mib is not None else need.claim_mib,
        "BUDGET": service.budget_mib,
        "PRIO": service.priority,
        "SM %": busy,
        "HELD": held,
        "UP": container.started_at if container and container.running else None,
        "RESTARTS": container.restart_count if container else None,
    }
    return Row(key=str(service.key), cells=cells, sort=sort, more=_each(service, labels))


def _each(service: Service, labels: Mapping[str, str]) -> str:
    """Every GPU by its label, to be found where the table shows a run."""
    return " ".join(labels.get(uuid, "") for uuid in dict.fromkeys((*service.assigned, *(service.requested or ()))))


def _use(readings: Sequence[Reading]) -> dict[str, tuple[int | None, int | None]]:
    """By container id the memory that its processes hold on all GPUs, and how busy they keep the busiest of them."""
    own: dict[str, list[GpuProcess]] = {}
    for reading in readings:
        for process in reading.processes or ():
            if process.container_id is not None:
                own.setdefault(process.container_id, []).append(process)
    found: dict[str, tuple[int | None, int | None]] = {}
    for identity, processes in own.items():
        held = [one.memory_mib for one in processes if one.memory_mib is not None]
        busy = [one.sm_percent for one in processes if one.sm_percent is not None]
        found[identity] = (sum(held) if held else None, max(busy, default=None))
    return found


def _ports(service: Service) -> str:
    container = service.container
    ports = [f"{one.host_port}→{one.container_port}" for one in container.published] if container else []
    return ",".join(dict.fromkeys(ports)) or "–"


def _short_model(model: str | None) -> str:
    return (model or "–").rstrip("/").rpartition("/")[2][:40]


def _state(parts: RowParts) -> Text:
    service, worst = parts.service, parts.worst
    if worst is not None and worst.severity in ("refusal", "error", "warning"):
        mark = "▲" if worst.severity == "warning" else "✗"
        text = f"{mark} {_in_short(worst.code, parts.over_mib)}"
        # That it runs goes without saying; anything else does not.
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
