"""The rows of the service table: unchanged rows, and only those, are reused."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from gputui.app.render.columns import Row
from gputui.app.widgets.service_table import service_rows
from gputui.controller.local_controller import LocalController
from gputui.domain.assignment import Assignment, Assignments
from gputui.domain.finding import Finding
from gputui.domain.gpu import Reading
from gputui.domain.service import ServiceKey
from gputui.domain.snapshot import Snapshot

NOBODY: frozenset[ServiceKey] = frozenset()


def busier(reading: Reading) -> Reading:
    processes = tuple(replace(process, memory_mib=77, sm_percent=9) for process in reading.processes or ())
    return replace(reading, processes=processes)


def edited(snapshot: Snapshot) -> Snapshot:
    key = snapshot.services[0].key
    draft = replace(snapshot.draft, current=Assignments(items=(Assignment(key=key, gpus=()),)))
    return replace(snapshot, draft=draft)


def unhealthy(snapshot: Snapshot) -> Snapshot:
    changed, *services = snapshot.services
    assert changed.container is not None
    return replace(
        snapshot, services=(replace(changed, container=replace(changed.container, health="unhealthy")), *services)
    )


def warned(snapshot: Snapshot) -> Snapshot:
    finding = Finding(code="too-big", severity="warning", text="", service=snapshot.services[0].name)
    return replace(snapshot, findings=(finding,))


def relabelled(snapshot: Snapshot) -> Snapshot:
    gpus = tuple(replace(gpu, index=gpu.index + 8) for gpu in snapshot.inventory.gpus)
    return replace(snapshot, inventory=replace(snapshot.inventory, gpus=gpus))


CHANGES: tuple[Callable[[Snapshot], Snapshot], ...] = (
    edited,
    unhealthy,
    warned,
    relabelled,
    lambda snapshot: replace(snapshot, readings=tuple(busier(reading) for reading in snapshot.readings)),
    lambda snapshot: warned(
        replace(snapshot, memory=tuple(replace(memory, free_after_mib=-2048) for memory in snapshot.memory))
    ),
    lambda snapshot: replace(snapshot, services=snapshot.services[1:]),
)


def looks(row: Row) -> list[tuple[str, str]]:
    return [(cell.plain, str(cell.style)) for cell in row.cells.values()]


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_is_seen_in_the_row(
    controller: LocalController, change: Callable[[Snapshot], Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    previous = replace(controller.watch.snapshot(), findings=())
    current = change(previous)
    rows = service_rows(previous, NOBODY, {})
    updated = [row for _, row in service_rows(current, NOBODY, rows).values()]
    anew = [row for _, row in service_rows(current, NOBODY, {}).values()]
    assert [looks(row) for row in updated] == [looks(row) for row in anew]
    assert [row.sort for row in updated] == [row.sort for row in anew]
    assert [looks(row) for row in updated] != [looks(row) for _, row in rows.values()]


def test_a_mark_is_seen_in_its_row_alone(controller: LocalController) -> None:
    snapshot = controller.watch.snapshot()
    key = snapshot.services[2].key
    rows = service_rows(snapshot, NOBODY, {})
    marked_rows = service_rows(snapshot, frozenset((key,)), rows)
    assert [row_key for row_key in marked_rows if marked_rows[row_key][1] is not rows[row_key][1]] == [key]
    assert marked_rows[key][1].cells[" "].plain == "●"
