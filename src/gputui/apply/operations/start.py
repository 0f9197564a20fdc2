"""Starts a container."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from gputui.apply.operations.action import Action, ContainerPair, OperationContext, Part
from gputui.apply.operations.set_restart_policy import keep_stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(Action):
    """Start a container."""

    starts: ClassVar[bool] = True

    part: Part
    kind: Literal["start"] = "start"

    def perform(self, pair: ContainerPair, context: OperationContext) -> None:
        """Start it; never the new one while the old one runs."""
        if self.part == "new" and pair.old is not None:
            keep_stopped(context.engine, pair.old)
        context.engine.start(pair.of(self.part))


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart(Action):
    """Stop and start a container in one call; only recorded by gputui 0.1."""

    starts: ClassVar[bool] = True

    part: Part
    timeout_s: int
    kind: Literal["restart"] = "restart"

    def perform(self, pair: ContainerPair, context: OperationContext) -> None:
        """Restart it."""
        context.engine.restart(pair.of(self.part), self.timeout_s)
