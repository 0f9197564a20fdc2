"""Renames a container."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gputui.apply.operations.action import Action, ContainerPair, OperationContext, Part
from gputui.domain import compose_labels
from gputui.domain.container import Container
from gputui.domain.errors import EngineError, NotFound
from gputui.engine.protocol import Engine

SAME_SERVICE = (compose_labels.PROJECT, compose_labels.SERVICE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename(Action):
    """Rename a container."""

    part: Part
    name: str
    kind: Literal["rename"] = "rename"

    def perform(self, pair: ContainerPair, context: OperationContext) -> None:
        """Rename it."""
        rename(context.engine, pair.of(self.part), self.name)

    def obsolete_undo(self, container: Container, pair: ContainerPair, context: OperationContext) -> str | None:
        """Nothing can be done if another container has the name."""
        if container.name != self.name and is_replaced(context.engine, container, self.name, pair):
            return "somebody else's container of this service has the name"
        return None


def rename(engine: Engine, ref: str, name: str) -> None:
    """Rename it, unless it already has the name."""
    try:
        engine.rename(ref, name)
    except EngineError:  # the engine refuses a name that the container already has
        if engine.inspect(ref).name != name:
            raise


def is_replaced(engine: Engine, old: Container, name: str, pair: ContainerPair) -> bool:
    """Whether a foreign container of the same service runs under its name."""
    try:
        namesake = engine.inspect(name)
    except NotFound:
        return False
    is_foreign = namesake.id not in (pair.old, pair.new)
    return is_foreign and namesake.running and is_same_service(namesake.labels, old.labels)


def is_same_service(labels: Mapping[str, str], reference: Mapping[str, str]) -> bool:
    """Whether both are of the same service by their Compose labels; without these labels they never are."""
    return all(labels.get(name) and labels.get(name) == reference.get(name) for name in SAME_SERVICE)
