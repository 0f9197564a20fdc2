"""What an apply reports while it runs, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gputui.domain.message import Message

Result = Literal["running", "done", "rolled_back", "failed"]

Finish = Literal["carry out", "resume", "roll back"]
"""What is done with an apply on record: begin it, go on with it where it was interrupted, or roll back what it left."""

Outcome = Literal["done", "rolled_back", "failed", "not begun"]
"""What came of one service."""

EventKind = Literal["apply", "step", "operation", "undo", "log", "result"]
Progress = Literal["started", "done", "failed", "waiting"]

WATCH = "watch"
"""The operation that waits for a service to serve: by it the time is found that this took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyEvent:
    """One thing that an apply did or saw; `number` counts from 1 within the apply. `operation` is the kind of the
    operation that it is about."""

    number: int
    at: str
    kind: EventKind
    progress: Progress
    message: Message
    service: str | None = None
    operation: str = ""

    @property
    def text(self) -> str:
        """In words."""
        return self.message.text


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyRecord:
    """One apply: who, when, why, of which revision, and what came of it for each service.

    `alive`: its process is there; it looks after what it made, or falls back, for a moment after the end.
    `missing`: GPUs (UUIDs) that were gone when a service was to start on them. `failures`: why each service that failed
    did, with the last line of its log.
    """

    id: int
    revision: int
    operator: str
    reason: Message
    started_at: str
    ended_at: str | None = None
    result: Result = "running"
    services: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    alive: bool = False
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)

    @property
    def under_way(self) -> bool:
        """It has no end yet, and its process is there."""
        return self.result == "running" and self.alive

    @property
    def cut_off(self) -> bool:
        """It has no end, and its process is gone."""
        return self.result == "running" and not self.alive


HOW_TO_FINISH = (
    "resume it (`gputui apply --resume`) or roll back what it left (`gputui rollback`); "
    "if that was done by hand, `gputui rollback --settled`"
)


def cut_off_text(record: ApplyRecord) -> str:
    """What is wrong with an apply that did not come to its end."""
    how = (
        "was interrupted" if record.result == "running" else "failed, and left something that could not be rolled back"
    )
    return f"the apply of {record.operator} at {record.started_at} {how}"
