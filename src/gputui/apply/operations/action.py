"""The base of every kind of operation: a value that says what to do, and how to do and undo it."""

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
"""Which container an operation is about: the old one that the step starts from, or the new one that it creates."""

IS_GONE = "it is already gone"


@dataclass(slots=True)
class ContainerPair:
    """The containers of one task, by id: the one it starts from, and the one it creates."""

    old: str | None
    new: str | None = None

    def of(self, part: Part) -> str:
        """The id of one of them.

        Raises:
            NotFound: there is none. An id recorded as both is the old one, and must not be removed as the new one.
        """
        ref = self.old if part == "old" else self.new
        if ref is None or (part == "new" and ref == self.old):
            raise NotFound(f"there is no {part} container")
        return ref


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationContext:
    """What operations work with. `report` reports what is waited for, `keep_log` stores a container's log, `abandoned`
    tells whether another container of the same unit failed, `cancelled` why the apply was cancelled."""

    engine: "Engine"
    source: "GpuSource"
    gpus: tuple[Gpu, ...]
    retry: "EngineRetry"
    report: "Callable[[Message], None]"
    keep_log: Callable[[str, tuple[bytes, ...]], None]
    abandoned: Callable[[], bool]
    cancelled: Callable[[], str]


class Action:
    """One call to the engine, or one check of its outcome.

    Kinds are frozen dataclasses with a `kind`, by which they are recorded. All are idempotent: the current state
    decides what is left to do.
    """

    __slots__ = ()

    starts: ClassVar[bool] = False
    """Whether it starts a container."""
    verifies: ClassVar[bool] = False
    """Whether it only checks the new container, so that the check can be repeated."""
    restores: ClassVar[bool] = False
    """Whether, as an undo, it starts the old container again."""
    leaves: ClassVar[bool] = False
    """Whether a person has something left to clean up if it fails at the end."""

    kind: str
    part: Part

    @property
    def makes(self) -> "ContainerSpec | None":
        """The spec of the container that it creates, if it creates one."""
        return None

    def perform(self, pair: ContainerPair, context: OperationContext) -> str | None:
        """Do it; a readable line if there is more to say than that it was done.

        Raises:
            EngineError: it failed, or its check did.
            Unreachable: the engine does not answer any more.
        """
        raise NotImplementedError

    def find_result(self, pair: ContainerPair, context: OperationContext) -> None:
        """Find what it created if the engine's reply was lost."""

    def obsolete_undo(self, container: "Container", pair: ContainerPair, context: OperationContext) -> str | None:
        """Why this undo is not needed for the container in its current state; None if it is."""
        del container, pair, context
        return None

    def undo(
        self, done: "Action", pair: ContainerPair, old_spec: "ContainerSpec | None", context: OperationContext
    ) -> str | None:
        """Do it as the undo of `done`, however much of that was carried out: the current state decides.

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
