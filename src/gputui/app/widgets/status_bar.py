"""The status bar: server, engine, user, and unsaved edits."""

import time

from textual.content import Content
from textual.widgets import Static

from gputui.domain.snapshot import Snapshot


def summary_of_gpus(snapshot: Snapshot) -> str:
    """`8×H100`, or `2 GPUs` if they differ."""
    names = {gpu.name for gpu in snapshot.inventory.gpus if gpu.mig_index is None}
    count = sum(gpu.mig_index is None for gpu in snapshot.inventory.gpus)
    if len(names) == 1:
        words = names.pop().removeprefix("NVIDIA ").split()
        return f"{count}×{words[0] if words[0] != 'GeForce' else ' '.join(words[1:3])}"
    return f"{count} GPUs"


Part = tuple[str, str]
"""A text and its style."""


class StatusBar(Static):
    """The line at the top; repainted only when its text changes."""

    def __init__(self, *, readonly: bool) -> None:
        super().__init__("", markup=False)
        self._readonly = readonly

    def show(self, snapshot: Snapshot) -> None:
        """Update the line."""
        parts = [*self._marks(snapshot), *_going_on(snapshot), *_engine(snapshot), *_whose(snapshot)]
        content = Content(" ") + Content("  ").join([Content.styled(text, style) for text, style in parts])
        if content != self.content:
            self.update(content, layout=False)

    def _marks(self, snapshot: Snapshot) -> list[Part]:
        parts: list[Part] = [("gputui", "bold")]
        parts += [("SIMULATED", "bold $warning")] if snapshot.simulated else []
        parts += [("READ-ONLY", "bold $warning")] if self._readonly else []
        return [*parts, (snapshot.host, "")]


def _going_on(snapshot: Snapshot) -> list[Part]:
    """Current activity; it comes first because narrow screens truncate the end."""
    parts: list[Part] = []
    if snapshot.watch_faults:
        clock = time.strftime("%H:%M:%S", time.localtime(min(fault.since for fault in snapshot.watch_faults)))
        names = ", ".join(fault.name for fault in snapshot.watch_faults)
        parts.append((f"{names}: failing since {clock}, values are old", "bold $error"))
    unsaved = len(snapshot.draft.changed)
    if unsaved:
        parts.append((f"{unsaved} unsaved", "bold $warning"))
    apply = snapshot.apply
    if apply is not None and apply.result == "running":
        text = f"{apply.operator} is applying" if apply.alive else "an apply was interrupted: ctrl+z takes it back"
        parts.append((text, "bold $warning"))
    unapplied = sum(finding.code == "not-applied" for finding in snapshot.findings)
    if unapplied and not unsaved and not (apply is not None and apply.under_way):
        parts.append((f"{unapplied} saved, not applied", "$warning"))
    return parts


def _engine(snapshot: Snapshot) -> list[Part]:
    info = snapshot.engine.info
    parts: list[Part] = []
    if snapshot.engine.pending:
        parts.append(("connecting", "dim"))
    elif info is None:
        was_there = any(service.container and service.container.is_last_seen for service in snapshot.services)
        parts.append(("engine unreachable" if was_there else "no engine", "$error"))
    elif snapshot.mechanism is None:
        parts.append((f"{info.name} {info.version} cannot give GPUs: gputui doctor", "$error"))
    else:
        parts.append((f"{info.name} {info.version} · {snapshot.mechanism}", ""))
    if snapshot.inventory.source:
        parts.append((f"readings from {snapshot.inventory.source}", "$warning"))
    if snapshot.inventory.driver_version:
        parts.append((f"driver {snapshot.inventory.driver_version}", ""))
    return [*parts, (summary_of_gpus(snapshot), "")]


def _whose(snapshot: Snapshot) -> list[Part]:
    parts: list[Part] = [(f"project {snapshot.project}", "")] if snapshot.project else []
    parts.append((snapshot.operator, "dim"))
    if snapshot.draft.current.strategy != "manual":
        parts.append((snapshot.draft.current.strategy, ""))
    if any(note.kind == "state-not-shared" for note in snapshot.notes):
        parts.append(("state not shared", "$warning"))
    return [*parts, (time.strftime("%H:%M"), "dim")]
