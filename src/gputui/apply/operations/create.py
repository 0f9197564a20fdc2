"""Creates the new container."""

from dataclasses import dataclass
from typing import Literal

from gputui.apply.operations.action import Action, ContainerPair, OperationContext, Part
from gputui.domain.container import LABEL_APPLY, ContainerSpec
from gputui.domain.errors import EngineError, NotFound
from gputui.engine.protocol import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Create(Action):
    """Create the new container."""

    spec: ContainerSpec
    part: Part = "new"
    kind: Literal["create"] = "create"

    @property
    def makes(self) -> ContainerSpec:
        """Its spec."""
        return self.spec

    def perform(self, pair: ContainerPair, context: OperationContext) -> None:
        """Create it; if an earlier reply was lost, use the container created then."""
        engine = context.engine
        if pair.new is not None:
            pair.new = engine.inspect(pair.new).id
            return
        try:
            pair.new = engine.create(self.spec)
        except EngineError:
            pair.new = made_by_us(engine, self.spec)
            if pair.new is None:
                raise

    def find_result(self, pair: ContainerPair, context: OperationContext) -> None:
        """Find the container that was created without its reply arriving."""
        if pair.new is None:
            pair.new = made_by_us(context.engine, self.spec)


def made_by_us(engine: Engine, spec: ContainerSpec) -> str | None:
    """The container that this apply created under this name; any other container of the name lacks the token."""
    try:
        container = engine.inspect(spec.name)
    except NotFound:
        return None
    token = (spec.body.get("Labels") or {}).get(LABEL_APPLY)
    return container.id if token and container.labels.get(LABEL_APPLY) == token else None
