"""Checks what the engine stored of a GPU request."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from gputui.apply.health_gate import NotWell
from gputui.apply.operations.action import Action, ContainerPair, OperationContext, Part


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest(Action):
    """Whether the engine stored the request for these GPUs; some drop it silently."""

    verifies: ClassVar[bool] = True

    device_ids: tuple[str, ...]
    part: Part = "new"
    kind: Literal["check_request"] = "check_request"

    def perform(self, pair: ContainerPair, context: OperationContext) -> None:
        """Compare it with what was requested."""
        request = context.engine.inspect(pair.of(self.part)).gpu_request
        stored = request.device_ids if request else ()
        if stored != self.device_ids:
            expected = ", ".join(self.device_ids) or "none"
            raise NotWell(f"the engine stored the GPUs {', '.join(stored) or 'none'} instead of {expected}")
