"""The processes on all GPUs as rows, flat or grouped by owner: pure functions."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from gputui.app.render.columns import Column, Row, cell
from gputui.app.render.gpu_detail import unaccounted_mib
from gputui.app.render.values import duration_text
from gputui.domain.gpu import GpuProcess, Reading
from gputui.domain.snapshot import Snapshot
from gputui.domain.units import gib

COLUMNS = (
    Column(title="GPU", width=5),
    Column(title="PID", width=8, numeric=True),
    Column(title="USER", width=10, rank=2),
    Column(title="SM %", width=4, rank=4, numeric=True),
    Column(title="GiB", width=6, numeric=True),
    Column(title="SERVICE", width=16, rank=1, grows=True, widest=40),
    Column(title="CONTAINER", width=16, rank=6),
    Column(title="AGE", width=7, rank=5, numeric=True),
    Column(title="COMMAND", width=20, rank=3, grows=True),
)


@dataclass(frozen=True, slots=True)
class ProcessEntry:
    """A process on a GPU, with its service and container; `service` is empty for a foreign process."""

    reading: Reading
    process: GpuProcess
    service: str
    container: str

    @property
    def key(self) -> str:
        """The identity of the process on this GPU."""
        return f"{self.reading.gpu.uuid} {self.process.pid} {self.process.start_time}"

    @property
    def owner(self) -> str:
        """The service, else the user."""
        return self.service or self.process.user or "unknown user"


def process_entries(snapshot: Snapshot) -> list[ProcessEntry]:
    """All processes on all GPUs."""
    services = {service.container.id: service for service in snapshot.services if service.container}
    entries = []
    for reading in snapshot.readings:
        for process in reading.processes or ():
            service = services.get(process.container_id or "")
            name = service.container.name if service and service.container else (process.container_id or "")[:12]
            entries.append(ProcessEntry(reading, process, service.name if service else "", name))
    return entries


def process_rows(processes: Sequence[ProcessEntry]) -> list[Row]:
    """One row per process."""
    return [_row(entry, "") for entry in processes]


def process_tree(processes: Sequence[ProcessEntry]) -> list[Row]:
    """Rows grouped by service or user, largest first."""
    owners: dict[str, list[ProcessEntry]] = {}
    for entry in processes:
        owners.setdefault(entry.owner, []).append(entry)
    rows: list[Row] = []
    for owner, entries in sorted(owners.items(), key=lambda pair: -_sum(pair[1])):
        rows.append(_total(owner, entries))
        rows += [_row(entry, "  ") for entry in sorted(entries, key=lambda entry: -(entry.process.memory_mib or 0))]
    return rows


def _sum(processes: Sequence[ProcessEntry]) -> int:
    return sum(entry.process.memory_mib or 0 for entry in processes)


def _sum_text(processes: Sequence[ProcessEntry]) -> str:
    """The total memory; a lower bound if some processes do not report theirs."""
    unreported = sum(entry.process.memory_mib is None for entry in processes)
    if unreported == len(processes):
        return "n/a"
    return ("≥" if unreported else "") + gib(_sum(processes))


def _total(owner: str, entries: Sequence[ProcessEntry]) -> Row:
    gpus = ",".join(dict.fromkeys(entry.reading.gpu.label for entry in entries))
    kind = "service" if entries[0].service else "user"
    texts = {
        "GPU": gpus, "PID": f"{len(entries)}×", "USER": "" if entries[0].service else owner, "SM %": "",
        "GiB": _sum_text(entries), "SERVICE": owner if entries[0].service else "–", "CONTAINER": "", "AGE": "",
        "COMMAND": f"all of this {kind}",
    }  # fmt: skip
    return Row(key=f"all {kind} {owner}", cells={name: cell(text, "bold") for name, text in texts.items()})


def _row(entry: ProcessEntry, indent: str) -> Row:
    process, gpu = entry.process, entry.reading.gpu
    age = None if process.started_at is None else time.time() - process.started_at
    cells = {
        "GPU": cell(indent + gpu.label),
        "PID": cell(str(process.pid)),
        "USER": cell(process.user or "?"),
        "SM %": cell("n/a" if process.sm_percent is None else str(process.sm_percent)),
        "GiB": cell(gib(process.memory_mib)),
        "SERVICE": cell(entry.service or "foreign", "" if entry.service else "dim"),
        "CONTAINER": cell(entry.container or "–", "dim"),
        "AGE": cell("n/a" if age is None else duration_text(age)),
        "COMMAND": cell(process.command or "?"),
    }
    sort: dict[str, float | str | None] = {
        "GPU": gpu.index + (gpu.mig_index or 0) / 100, "PID": process.pid, "SM %": process.sm_percent,
        "GiB": process.memory_mib, "AGE": age,
    }  # fmt: skip
    return Row(key=entry.key, cells=cells, sort=sort)


def totals(snapshot: Snapshot, processes: Sequence[ProcessEntry]) -> str:
    """The memory of each owner, and the GPUs with memory that no process accounts for."""
    owners: dict[str, list[ProcessEntry]] = {}
    for entry in processes:
        owners.setdefault(entry.owner, []).append(entry)
    parts = [
        f"{name} {_sum_text(entries)}" for name, entries in sorted(owners.items(), key=lambda pair: -_sum(pair[1]))
    ]
    gaps = [
        (reading.gpu.label, unaccounted_mib(reading)) for reading in snapshot.readings if not reading.gpu.mig_enabled
    ]
    unlisted = [
        reading.gpu.label for reading in snapshot.readings if reading.state == "ok" and reading.processes is None
    ]
    text = f"GiB held: {' · '.join(parts)}" if parts else "no process"
    gap_texts = [f"{gib(gap)} on {label}" for label, gap in gaps if gap is not None and gap >= 52]
    text += f"   held by no listed process: {', '.join(gap_texts)}" if gap_texts else ""
    return text + (f"   cannot be listed on GPU {', '.join(unlisted)}" if unlisted else "")
