"""What a strategy would assign."""

from dataclasses import dataclass

from gputui.domain.service import ServiceKey
from gputui.domain.strategy import StrategyName


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestedAssignment:
    """One service with its GPUs (UUIDs, in the order that its process counts them). `moved`: they are other ones than
    now; `budget_mib` is its VRAM budget, `adjusted` where the strategy changed that."""

    service: ServiceKey
    name: str
    gpus: tuple[str, ...]
    budget_mib: int | None = None
    moved: bool = False
    adjusted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """A service that finds no place, and why. One that runs `stays` where it is; any other is disabled when the
    suggestion is taken over."""

    service: ServiceKey
    name: str
    reason: str
    stays: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestedGpu:
    """What a GPU would hold: all services together, others' processes, and what is left, in MiB."""

    uuid: str
    label: str
    total_mib: int
    planned_mib: int
    foreign_mib: int
    free_after_mib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A strategy's answer.

    `down_s` is an estimate of how long the longest of the services that move is away, None where none moves. `fixed`
    stay where they are, because they were only found. `notes` are what one should know about it.
    """

    strategy: StrategyName
    reserve_mib: int
    proved_best: bool
    assignments: tuple[SuggestedAssignment, ...]
    fixed: tuple[SuggestedAssignment, ...] = ()
    unplaced: tuple[Unplaced, ...] = ()
    gpus: tuple[SuggestedGpu, ...] = ()
    moves: int = 0
    down_s: float | None = None
    notes: tuple[str, ...] = ()
