"""What every kind of operation has: a value that says what is done, and how that is done and undone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from gputui.domain.errors import NotFound
from gputui.domain.gpu import Gpu

if TYPE_CHECKING:
    from gputui.apply.engine_retry import EngineRetry
    from gputui.domain.container import Container, ContainerSpec
    from gputui.domain.message import Message
    from gputui.engine.protocol import Engine
    from gputui.gpus.source import GpuSource

Part = Literal["old", "new"]
"""Which container an operation is about: the old one that the step starts from, or the new one that it makes."""

IS_GONE = "it is already gone"


@dataclass(slots=True)
class ContainerPair:
    """The containers of one task, by id: the one it starts from, and the one it makes."""

    old: str | None
    new: str | None = None

    def of(self, part: Part) -> str:
        """The id of one of them.

        Raises:
            NotFound: there is none. What is taken for both is the old one, and never removed as the new one.
        """
        ref = self.old if part == "old" else self.new
        if ref is None or (part == "new" and ref == self.old):
            raise NotFound(f"there is no {part} container")
        return ref


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationContext:
    """What operations are done with. `report` says what is waited for, `keep_log` stores a container's log,
    `abandoned` tells that another container of the same unit failed, `cancelled` why nobody wants it any more."""

    engine: "Engine"
    source: "GpuSource"
    gpus: tuple[Gpu, ...]
    retry: "EngineRetry"
    report: "Callable[[Message], None]"
    keep_log: Callable[[str, tuple[bytes, ...]], None]
    abandoned: Callable[[], bool]
    cancelled: Callable[[], str]


class Action:
    """One call to the engine, or one look at what came of it.

    Kinds are frozen dataclasses with a `kind`, which is how they are put on record. All may be performed twice: what is
    found decides what is left to do.
    """

    __slots__ = ()

    starts: ClassVar[bool] = False
    """Whether it starts a container."""
    verifies: ClassVar[bool] = False
    """Whether it only looks whether the new container is as it should be, so that it can be looked at again."""
    restores: ClassVar[bool] = False
    """Whether, as an undo, it makes the old container run again."""
    leaves: ClassVar[bool] = False
    """Whether something is left over for a person to clean up where it cannot be done at the end."""

    kind: str
    part: Part

    @property
    def makes(self) -> "ContainerSpec | None":
        """The spec of the container that it makes, if it makes one."""
        return None

    def perform(self, pair: ContainerPair, context: OperationContext) -> str | None:
        """Do it; a line to read where there is more to say than that it was done.

        Raises:
            EngineError: it failed, or what it was to see is not so.
            Unreachable: the engine went away.
        """
        raise NotImplementedError

    def find_result(self, pair: ContainerPair, context: OperationContext) -> None:
        """Find what it made where the engine's reply was lost."""

    def obsolete_undo(self, container: "Container", pair: ContainerPair, context: OperationContext) -> str | None:
        """Why this undo has nothing to do to the container as it is; None where it has."""
        del container, pair, context
        return None

    def undo(
        self, done: "Action", pair: ContainerPair, old_spec: "ContainerSpec | None", context: OperationContext
    ) -> str | None:
        """Do it as the undo of `done`, whatever of that had been carried out: the state that is found decides.

        Raises:
            GputuiError: it cannot be undone.
        """
        del old_spec
        done.find_result(pair, context)
        try:
            container = context.engine.inspect(pair.of(self.part))
            reason = self.obsolete_undo(container, pair, context)
            return reason or self.perform(pair, context)
        except NotFound:
            return IS_GONE
