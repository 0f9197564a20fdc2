"""Checks that a container could be started again, before anything is stopped."""

from dataclasses import dataclass
from typing import Literal

from gputui.apply.health_gate import NotWell
from gputui.apply.operations.action import Action, ContainerPair, OperationContext, Part


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckStart(Action):
    """Whether a container could be started again: everything that it needs exists."""

    part: Part = "old"
    kind: Literal["check_start"] = "check_start"

    def perform(self, pair: ContainerPair, context: OperationContext) -> None:
        """Fail if something is missing."""
        missing = context.engine.start_obstacles(pair.of(self.part))
        if missing:
            raise NotWell(f"it could not be started again: {'; '.join(missing)}")
