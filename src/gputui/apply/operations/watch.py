"""Watches a container come up."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from gputui.apply.health_gate import HealthLimits, watch
from gputui.apply.operations.action import Action, ContainerPair, OperationContext, Part
from gputui.domain.serving import HttpProbe


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch(Action):
    """Watch a container come up: healthy, or answering, or, if it can show neither, running for `settle_s`.

    For `loading_s` a failing healthcheck is taken for a loading model; after `limit_s` it has failed.
    """

    verifies: ClassVar[bool] = True

    part: Part
    settle_s: float
    limit_s: float
    loading_s: float = 0.0
    probe: HttpProbe | None = None
    kind: Literal["watch"] = "watch"

    def perform(self, pair: ContainerPair, context: OperationContext) -> str | None:
        """Return once it is up."""
        return watch(
            context.engine,
            pair.of(self.part),
            HealthLimits(self.settle_s, self.limit_s, self.loading_s, self.probe),
            retry=context.retry,
            report=context.report,
            abandoned=context.abandoned,
            cancelled=context.cancelled,
        )
