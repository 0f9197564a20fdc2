"""Removes a container."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from gputui.apply.operations.action import Action, ContainerPair, OperationContext, Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove(Action):
    """Remove a container; its volumes stay."""

    leaves: ClassVar[bool] = True

    part: Part
    kind: Literal["remove"] = "remove"

    def perform(self, pair: ContainerPair, context: OperationContext) -> None:
        """Remove it."""
        context.engine.remove(pair.of(self.part))
