"""Removes the links of other containers to one that is about to be removed."""

from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Literal

from gputui.apply.operations.action import Action, ContainerPair, OperationContext, Part
from gputui.domain.errors import NotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlink(Action):
    """Remove the links of other containers (`--link`) to this one; otherwise they could no longer be started. `links`
    are (container, alias)."""

    leaves: ClassVar[bool] = True

    links: tuple[tuple[str, str], ...]
    part: Part = "old"
    kind: Literal["unlink"] = "unlink"

    def perform(self, pair: ContainerPair, context: OperationContext) -> None:
        """Remove those that exist."""
        del pair
        for name, alias in self.links:
            with suppress(NotFound):
                context.engine.unlink(name, alias)
