"""What an apply reports while it runs, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Result = Literal["running", "done", "rolled_back", "failed"]

EventKind = Literal["apply", "step", "operation", "undo", "log", "result"]
Progress = Literal["started", "done", "failed", "waiting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyEvent:
    """One thing that an apply did or saw; `number` counts from 1 within the apply."""

    number: int
    at: str
    kind: EventKind
    progress: Progress
    text: str
    service: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyRecord:
    """One apply: who, when, why, of which revision, and what came of it for each service."""

    id: int
    revision: int
    operator: str
    reason: str
    started_at: str
    ended_at: str | None = None
    result: Result = "running"
    services: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    alive: bool = False
