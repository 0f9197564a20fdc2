"""What is different between two revisions, in lines to read."""

from collections.abc import Mapping

from gputui.domain.assignment import Assignment, Assignments
from gputui.domain.service import told_apart
from gputui.domain.text import mask_secret
from gputui.domain.units import gib


def revision_difference(one: Assignments, other: Assignments, labels: Mapping[str, str]) -> tuple[str, ...]:
    """A line for each service that is assigned otherwise in `other` than in `one`; `labels` are those of the GPUs."""
    before = {item.key: item for item in one.items}
    after = {item.key: item for item in other.items}
    lines = []
    names = told_apart(before.keys() | after.keys())
    for key in sorted(names):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        name = names[key]
        if old is None or new is None:
            text = assignment_text(new, labels) if new else "not in it any more"
            lines.append(f"{name}: {'new: ' if old is None else ''}{text}")
            continue
        lines.append(f"{name}: {', '.join(_changes(old, new, labels))}")
    if one.strategy != other.strategy:
        lines.append(f"strategy: {one.strategy} → {other.strategy}")
    return tuple(lines)


def _changes(old: Assignment, new: Assignment, labels: Mapping[str, str]) -> list[str]:
    found = []
    if old.gpus != new.gpus:
        found.append(f"GPUs {_gpus(old, labels)} → {_gpus(new, labels)}")
    if old.enabled != new.enabled:
        found.append("enabled" if new.enabled else "disabled")
    if old.budget_mib != new.budget_mib:
        found.append(f"budget {_size(old.budget_mib)} → {_size(new.budget_mib)}")
    if old.priority != new.priority:
        found.append(f"priority {_number(old.priority)} → {_number(new.priority)}")
    if old.adopted != new.adopted:
        found.append("adopted" if new.adopted else "not adopted any more")
    arguments = {edit.argument: edit.value for edit in old.edits}
    later = {edit.argument: edit.value for edit in new.edits}
    for argument in sorted(arguments.keys() | later.keys()):
        if arguments.get(argument, ...) != later.get(argument, ...):
            was, now = (mask_secret(argument, one.get(argument) or "–") for one in (arguments, later))
            found.append(f"{argument} {was} → {now}")
    return found


def assignment_text(item: Assignment, labels: Mapping[str, str]) -> str:
    """`GPUs 0,2, budget 3.5 GiB`."""
    parts = [f"GPUs {_gpus(item, labels)}"]
    parts += [] if item.enabled else ["disabled"]
    parts += [] if item.adopted else ["as it was found"]
    parts += [f"budget {_size(item.budget_mib)}"] if item.budget_mib is not None else []
    parts += [f"priority {item.priority}"] if item.priority is not None else []
    parts += [f"{edit.argument} {mask_secret(edit.argument, edit.value or '')}".rstrip() for edit in item.edits]
    return ", ".join(parts)


def _gpus(item: Assignment, labels: Mapping[str, str]) -> str:
    return ",".join(labels.get(uuid, uuid[:12]) for uuid in item.gpus) or "none"


def _size(mib: int | None) -> str:
    return "none" if mib is None else f"{gib(mib)} GiB"


def _number(value: int | None) -> str:
    return "none" if value is None else str(value)
