"""Keeps what a container wrote outside its volumes, as an image."""

from dataclasses import dataclass
from typing import Literal

from gputui.apply.operations.action import Action, ContainerPair, OperationContext, Part
from gputui.domain.container import ContainerSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitImage(Action):
    """Keep what the old container wrote outside its volumes, as an image."""

    image: str
    part: Part = "old"
    kind: Literal["commit_image"] = "commit_image"

    def perform(self, pair: ContainerPair, context: OperationContext) -> None:
        """Commit it, unless that is already done."""
        if context.engine.image_id(self.image) is None:
            context.engine.commit_image(pair.of(self.part), self.image)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveImage(Action):
    """Remove such an image."""

    image: str
    part: Part = "old"
    kind: Literal["remove_image"] = "remove_image"

    def perform(self, pair: ContainerPair, context: OperationContext) -> None:
        """Remove it."""
        del pair
        context.engine.remove_image(self.image)

    def undo(
        self, done: Action, pair: ContainerPair, old_spec: ContainerSpec | None, context: OperationContext
    ) -> None:
        """Remove it, whether or not the container still exists."""
        del done, old_spec
        self.perform(pair, context)
