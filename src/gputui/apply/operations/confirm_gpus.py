"""Confirms that a container has its GPUs."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from gputui.apply.health_gate import confirm_gpus
from gputui.apply.operations.action import Action, ContainerPair, OperationContext, Part


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmGpus(Action):
    """Confirm that a container has exactly these GPUs. `nodes` None: its device nodes are not known in advance."""

    verifies: ClassVar[bool] = True

    part: Part
    gpus: tuple[str, ...]
    nodes: tuple[str, ...] | None
    kind: Literal["confirm_gpus"] = "confirm_gpus"

    def perform(self, pair: ContainerPair, context: OperationContext) -> str:
        """Compare its device nodes, and the GPUs that its processes use."""
        ref = pair.of(self.part)
        return confirm_gpus(context.engine, context.source, context.gpus, ref, self.gpus, self.nodes)
