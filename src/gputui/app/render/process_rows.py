"""The processes on all GPUs, as rows, and as a tree by who holds what: pure functions."""

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
class Held:
    """A process on a GPU, with the service and the container that it belongs to; `service` is empty for a stranger."""

    reading: Reading
    process: GpuProcess
    service: str
    container: str

    @property
    def key(self) -> str:
        """Its identity on this GPU."""
        return f"{self.reading.gpu.uuid} {self.process.pid} {self.process.start_time}"

    @property
    def owner(self) -> str:
        """The service, else the user, whose it is."""
        return self.service or self.process.user or "unknown user"


def held(snapshot: Snapshot) -> list[Held]:
    """All processes on all GPUs."""
    services = {one.container.id: one for one in snapshot.services if one.container}
    found = []
    for reading in snapshot.readings:
        for process in reading.processes or ():
            service = services.get(process.container_id or "")
            name = service.container.name if service and service.container else (process.container_id or "")[:12]
            found.append(Held(reading, process, service.name if service else "", name))
    return found


def process_rows(processes: Sequence[Held]) -> list[Row]:
    """One row a process."""
    return [_row(one, "") for one in processes]


def process_tree(processes: Sequence[Held]) -> list[Row]:
    """Under each service and each user what they have, the largest first."""
    owners: dict[str, list[Held]] = {}
    for one in processes:
        owners.setdefault(one.owner, []).append(one)
    rows: list[Row] = []
    for owner, own in sorted(owners.items(), key=lambda pair: -_sum(pair[1])):
        rows.append(_total(owner, own))
        rows += [_row(one, "  ") for one in sorted(own, key=lambda one: -(one.process.memory_mib or 0))]
    return rows


def _sum(processes: Sequence[Held]) -> int:
    return sum(one.process.memory_mib or 0 for one in processes)


def _sum_text(processes: Sequence[Held]) -> str:
    """What they hold together; where some do not tell, at least."""
    untold = sum(one.process.memory_mib is None for one in processes)
    if untold == len(processes):
        return "n/a"
    return ("≥" if untold else "") + gib(_sum(processes))


def _total(owner: str, own: Sequence[Held]) -> Row:
    gpus = ",".join(dict.fromkeys(one.reading.gpu.label for one in own))
    kind = "service" if own[0].service else "user"
    texts = {
        "GPU": gpus, "PID": f"{len(own)}×", "USER": "" if own[0].service else owner, "SM %": "", "GiB": _sum_text(own),
        "SERVICE": owner if own[0].service else "–", "CONTAINER": "", "AGE": "", "COMMAND": f"all of this {kind}",
    }  # fmt: skip
    return Row(key=f"all {kind} {owner}", cells={name: cell(text, "bold") for name, text in texts.items()})


def _row(one: Held, indent: str) -> Row:
    process, gpu = one.process, one.reading.gpu
    age = None if process.started_at is None else time.time() - process.started_at
    cells = {
        "GPU": cell(indent + gpu.label),
        "PID": cell(str(process.pid)),
        "USER": cell(process.user or "?"),
        "SM %": cell("n/a" if process.sm_percent is None else str(process.sm_percent)),
        "GiB": cell(gib(process.memory_mib)),
        "SERVICE": cell(one.service or "foreign", "" if one.service else "dim"),
        "CONTAINER": cell(one.container or "–", "dim"),
        "AGE": cell("n/a" if age is None else duration_text(age)),
        "COMMAND": cell(process.command or "?"),
    }
    sort: dict[str, float | str | None] = {
        "GPU": gpu.index + (gpu.mig_index or 0) / 100, "PID": process.pid, "SM %": process.sm_percent,
        "GiB": process.memory_mib, "AGE": age,
    }  # fmt: skip
    return Row(key=one.key, cells=cells, sort=sort)


def totals(snapshot: Snapshot, processes: Sequence[Held]) -> str:
    """Who holds how much, and on which GPUs memory is used that no process accounts for."""
    owners: dict[str, list[Held]] = {}
    for one in processes:
        owners.setdefault(one.owner, []).append(one)
    parts = [f"{name} {_sum_text(own)}" for name, own in sorted(owners.items(), key=lambda pair: -_sum(pair[1]))]
    gaps = [(one.gpu.label, unaccounted_mib(one)) for one in snapshot.readings if not one.gpu.mig_enabled]
    unlisted = [one.gpu.label for one in snapshot.readings if one.state == "ok" and one.processes is None]
    text = f"GiB held: {' · '.join(parts)}" if parts else "no process"
    shown = [f"{gib(gap)} on {label}" for label, gap in gaps if gap is not None and gap >= 52]
    text += f"   held by no listed process: {', '.join(shown)}" if shown else ""
    return text + (f"   cannot be listed on GPU {', '.join(unlisted)}" if unlisted else "")
