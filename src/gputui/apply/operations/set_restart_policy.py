"""Changes the restart policy of a stopped container."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from gputui.apply.operations.action import Action, ContainerPair, OperationContext, Part
from gputui.domain.container import LIVING
from gputui.domain.errors import NotFound
from gputui.engine.protocol import Engine

STOP_AGAIN_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRestartPolicy(Action):
    """Change the restart policy of a stopped container."""

    part: Part
    name: str
    retries: int = 0
    kind: Literal["set_restart_policy"] = "set_restart_policy"

    def perform(self, pair: ContainerPair, context: OperationContext) -> None:
        """Change it; a container that must not come back is stopped if it did."""
        ref = pair.of(self.part)
        if self.name == "no":
            keep_stopped(context.engine, ref)
        context.engine.set_restart_policy(ref, {"Name": self.name, "MaximumRetryCount": self.retries})


def keep_stopped(engine: Engine, ref: str) -> None:
    """Stop a container again that came back: one with the restart policy `always` is started with its daemon."""
    with suppress(NotFound):
        if engine.inspect(ref).state in LIVING:
            engine.stop(ref, STOP_AGAIN_S)
