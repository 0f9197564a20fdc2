"""The differences between two revisions, as readable lines."""

from collections.abc import Mapping

from gputui.domain.assignment import Assignment, Assignments
from gputui.domain.service import distinct_names
from gputui.domain.text import mask_secret
from gputui.domain.units import gib


def revision_difference(base: Assignments, target: Assignments, labels: Mapping[str, str]) -> tuple[str, ...]:
    """A line for each service whose assignment differs between `base` and `target`; `labels` are those of the GPUs."""
    old_items = {item.key: item for item in base.items}
    new_items = {item.key: item for item in target.items}
    lines = []
    names = distinct_names(old_items.keys() | new_items.keys())
    for key in sorted(names):
        old, new = old_items.get(key), new_items.get(key)
        if old == new:
            continue
        name = names[key]
        if old is None or new is None:
            text = assignment_text(new, labels) if new else "not in it any more"
            lines.append(f"{name}: {'new: ' if old is None else ''}{text}")
            continue
        lines.append(f"{name}: {', '.join(_changes(old, new, labels))}")
    if base.strategy != target.strategy:
        lines.append(f"strategy: {base.strategy} → {target.strategy}")
    return tuple(lines)


def _changes(old: Assignment, new: Assignment, labels: Mapping[str, str]) -> list[str]:
    changes = []
    if old.gpus != new.gpus:
        changes.append(f"GPUs {_gpus(old, labels)} → {_gpus(new, labels)}")
    if old.enabled != new.enabled:
        changes.append("enabled" if new.enabled else "disabled")
    if old.budget_mib != new.budget_mib:
        changes.append(f"budget {_size(old.budget_mib)} → {_size(new.budget_mib)}")
    if old.priority != new.priority:
        changes.append(f"priority {_number(old.priority)} → {_number(new.priority)}")
    if old.adopted != new.adopted:
        changes.append("adopted" if new.adopted else "not adopted any more")
    arguments = {edit.argument: edit.value for edit in old.edits}
    later = {edit.argument: edit.value for edit in new.edits}
    for argument in sorted(arguments.keys() | later.keys()):
        if arguments.get(argument, ...) != later.get(argument, ...):
            old_value, new_value = (mask_secret(argument, values.get(argument) or "–") for values in (arguments, later))
            changes.append(f"{argument} {old_value} → {new_value}")
    return changes


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
