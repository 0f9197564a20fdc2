"""Ensures that the project's own networks and volumes exist before a container uses them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gputui.apply.operations.action import Action, ContainerPair, OperationContext, Part


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureNetwork(Action):
    """Ensure that the project's network exists; `body` is that of the engine's create call."""

    name: str
    body: Mapping[str, Any] = field(default_factory=dict)
    part: Part = "new"
    kind: Literal["ensure_network"] = "ensure_network"

    def perform(self, pair: ContainerPair, context: OperationContext) -> None:
        """Create it if it is missing."""
        del pair
        context.engine.ensure_network(self.name, self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureVolume(Action):
    """Ensure that the project's volume exists; `body` is that of the engine's create call."""

    name: str
    body: Mapping[str, Any] = field(default_factory=dict)
    part: Part = "new"
    kind: Literal["ensure_volume"] = "ensure_volume"

    def perform(self, pair: ContainerPair, context: OperationContext) -> None:
        """Create it if it is missing."""
        del pair
        context.engine.ensure_volume(self.name, self.body)
