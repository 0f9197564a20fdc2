"""What two operators made of the same service."""

from collections.abc import Sequence

from gputui.domain.assignment import Assignment, Draft
from gputui.domain.gpu import Gpu, labels_of
from gputui.domain.service import told_apart
from gputui.planning.spec_edit import edits_text, gib_down


def conflict_text(draft: Draft, gpus: Sequence[Gpu]) -> str:
    """For each service in conflict what the other operator saved, and what is edited here."""
    lines = []
    names = told_apart({*draft.conflicts, *(item.key for item in draft.saved.items)})
    for key in draft.conflicts:
        theirs, mine = draft.saved.of(key), draft.current.of(key)
        lines.append(f"{names[key]} is {_described(theirs, gpus)} now; yours is {_described(mine, gpus)}")
    return f"{draft.saved.author} saved revision {draft.saved.revision} meanwhile: " + "; ".join(lines)


def _described(item: Assignment | None, gpus: Sequence[Gpu]) -> str:
    if item is None:
        return "not assigned"
    parts = [f"GPUs {labels_of(item.gpus, gpus)}"]
    if not item.enabled:
        parts.append("disabled")
    if item.budget_mib is not None:
        parts.append(f"budget {gib_down(item.budget_mib)} GiB")
    if item.priority is not None:
        parts.append(f"priority {item.priority}")
    if item.edits:
        parts.append(edits_text(item.edits))
    return ", ".join(parts)
