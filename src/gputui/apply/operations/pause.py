"""Pauses and unpauses a container."""

from dataclasses import dataclass
from typing import Literal

from gputui.apply.health_gate import NotWell
from gputui.apply.operations.action import Action, ContainerPair, OperationContext, Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause(Action):
    """Pause a running container."""

    part: Part
    kind: Literal["pause"] = "pause"

    def perform(self, pair: ContainerPair, context: OperationContext) -> None:
        """Pause it, unless it already is."""
        ref = pair.of(self.part)
        container = context.engine.inspect(ref)
        if container.running:
            context.engine.pause(ref)
        elif container.state != "paused":
            # A container that could not be restored yet is paused once it is.
            raise NotWell("it does not run, so that it cannot be paused")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpause(Action):
    """Let a paused container run again."""

    part: Part
    kind: Literal["unpause"] = "unpause"

    def perform(self, pair: ContainerPair, context: OperationContext) -> None:
        """Unpause it, if it is paused."""
        ref = pair.of(self.part)
        if context.engine.inspect(ref).state == "paused":
            context.engine.unpause(ref)
