"""The service table: current and assigned GPUs, and the state of each service."""

import time
from collections.abc import Mapping, Sequence

from gputui.app.render.columns import Row
from gputui.app.render.service_columns import COLUMNS, RowParts, service_row
from gputui.app.render.values import age_text
from gputui.app.widgets.row_table import RowTable
from gputui.domain.finding import Finding
from gputui.domain.gpu import GpuProcess, Reading, labels_by_uuid
from gputui.domain.service import Service, ServiceKey
from gputui.domain.snapshot import Snapshot


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
            previous_row if previous_row is not None and previous_row[0] == parts else (parts, service_row(parts))
        )
    return rows


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
