"""Connects a container to its networks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gputui.apply.operations.action import Action, ContainerPair, OperationContext, Part
from gputui.domain.container import ContainerSpec
from gputui.engine.protocol import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect(Action):
    """Connect it to another network."""

    network: str
    endpoint: Mapping[str, Any] = field(default_factory=dict)
    part: Part = "new"
    kind: Literal["connect"] = "connect"

    def perform(self, pair: ContainerPair, context: OperationContext) -> None:
        """Connect it, unless it already is."""
        if self.network not in context.engine.networks_of(pair.of(self.part)):
            context.engine.connect(pair.of(self.part), self.network, self.endpoint)


def connect_all(engine: Engine, ref: str, spec: ContainerSpec) -> None:
    """Connect a container to all networks of its spec."""
    for network, endpoint in spec.networks.items():
        if network not in engine.networks_of(ref):
            engine.connect(ref, network, endpoint)
