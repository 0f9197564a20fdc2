"""The settings of a controller."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gputui.domain.errors import Refusal
from gputui.domain.event import Finish
from gputui.domain.injection import MechanismName
from gputui.domain.snapshot import EngineStatus
from gputui.state.state_dir import StateDir

if TYPE_CHECKING:
    from gputui.controller.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`launch` starts the process of a recorded apply, with how to finish it. `named_by_engine`: use the engine's name
    of the host, because gputui runs in a container, whose name changes each time."""

    host: str
    named_by_engine: bool = False
    operator: str
    settle_s: float = 6.0
    health_limit_s: float = 1800.0
    readonly: bool = False
    simulated: bool = False
    path_aliases: Mapping[str, str] = field(default_factory=dict)
    mechanism: MechanismName | None = None
    state_dir: Callable[[EngineStatus], StateDir]
    launch: Callable[[int, "Store", Finish], None]

    def check_writable(self) -> None:
        """Check that changes are allowed.

        Raises:
            Refusal: gputui was started with --readonly.
        """
        if self.readonly:
            raise Refusal("this gputui was started with --readonly", "start it without to change anything")
