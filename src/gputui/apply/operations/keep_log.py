"""Keeps the last lines of a container's log."""

from dataclasses import dataclass
from typing import Literal

from gputui.apply.operations.action import Action, ContainerPair, OperationContext, Part

KEPT_LOG_LINES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepLog(Action):
    """Keep the last lines of a container's log."""

    part: Part = "old"
    kind: Literal["keep_log"] = "keep_log"

    def perform(self, pair: ContainerPair, context: OperationContext) -> None:
        """Read them and store them."""
        ref = pair.of(self.part)
        context.keep_log(ref, context.engine.last_log(ref, KEPT_LOG_LINES))
