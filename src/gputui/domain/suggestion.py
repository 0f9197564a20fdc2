"""The assignments that a strategy suggests."""

from dataclasses import dataclass

from gputui.domain.service import ServiceKey
from gputui.domain.strategy import StrategyName


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestedAssignment:
    """One service with its GPUs (UUIDs, in the order that its process numbers them). `moved`: they differ from the
    current ones; `budget_mib` is its VRAM budget, `adjusted`: the strategy changed it."""

    service: ServiceKey
    name: str
    gpus: tuple[str, ...]
    budget_mib: int | None = None
    moved: bool = False
    adjusted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """A service that could not be placed, and why. A running one `stays` where it is; any other is disabled when the
    suggestion is accepted."""

    service: ServiceKey
    name: str
    reason: str
    stays: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestedGpu:
    """The memory of a GPU in MiB: all services together, foreign processes, and what is left."""

    uuid: str
    label: str
    total_mib: int
    planned_mib: int
    foreign_mib: int
    free_after_mib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """The result of a strategy.

    `down_s` is the estimated downtime of the slowest of the moving services, None if none moves. `fixed` services are
    not moved, because they are unmanaged. `notes` are remarks for the user.
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
