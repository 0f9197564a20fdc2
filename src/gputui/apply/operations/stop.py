"""Stops a container, and restores a stopped one."""

from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Literal

from gputui.apply.health_gate import NotWell, stay_up
from gputui.apply.operations.action import Action, ContainerPair, OperationContext, Part
from gputui.apply.operations.connect import connect_all
from gputui.apply.operations.rename import is_replaced, is_same_service, rename
from gputui.domain.container import Container, ContainerSpec, lasting_name
from gputui.domain.errors import EngineError, GputuiError, NotFound
from gputui.engine.protocol import Engine

PUT_BACK_TRIES = 3
PUT_BACK_WATCH_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop(Action):
    """Stop a container; by force after `timeout_s`."""

    part: Part
    timeout_s: int
    kind: Literal["stop"] = "stop"

    def perform(self, pair: ContainerPair, context: OperationContext) -> None:
        """Stop it."""
        context.engine.stop(pair.of(self.part), self.timeout_s)

    def obsolete_undo(self, container: Container, pair: ContainerPair, context: OperationContext) -> str | None:
        """Nothing has to be done if it does not run."""
        del pair, context
        return "it does not run" if container.state in ("exited", "created", "dead") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PutBack(Action):
    """Start the old container again, re-created from its spec if somebody removed it. `steady`: it ran without
    crashing before, so it has to do so again. Only used as an undo."""

    restores: ClassVar[bool] = True

    part: Part = "old"
    steady: bool = True
    kind: Literal["put_back"] = "put_back"

    def undo(
        self, done: Action, pair: ContainerPair, old_spec: ContainerSpec | None, context: OperationContext
    ) -> str | None:
        """Start it and check that it stays up. If a foreign container of the same service runs in its place, that one
        stays and the old one is removed.

        Raises:
            GputuiError: it does not stay up.
        """
        del done
        engine = context.engine
        note = None
        with suppress(NotFound):
            old = engine.inspect(pair.of("old"))
            if old.name != lasting_name(old.name) and is_replaced(engine, old, lasting_name(old.name), pair):
                engine.remove(old.id)
                pair.old = None
                return "somebody else started one in its place, which is left as it is"
        for _ in range(PUT_BACK_TRIES):
            try:
                running = engine.inspect(pair.old or "").running
            except NotFound:
                note = "somebody had removed it; it was re-created from its spec"
                running = False
                pair.old = _recreated(old_spec, engine)
            if not running:
                engine.start(pair.of("old"))
            if not self.steady:
                return note  # it did not stay up before either
            try:
                # The daemon may still carry out an abandoned stop, so check that it stays up.
                stay_up(engine, pair.of("old"), PUT_BACK_WATCH_S)
            except NotWell:
                continue
            return note
        raise GputuiError(f"the old container does not stay up after {PUT_BACK_TRIES} starts")


def _recreated(spec: ContainerSpec | None, engine: Engine) -> str:
    """Re-create the old container from its spec; one that has its name is used if it is of the same service."""
    if spec is None:
        raise GputuiError("the old container was removed and its spec is not known")
    try:
        ref = engine.create(spec)
    except EngineError:
        container = engine.inspect(spec.name)
        if not _is_of(container, spec):
            raise
        ref = container.id
    connect_all(engine, ref, spec)
    return ref


def in_place(engine: Engine, spec: ContainerSpec, present: str | None, replaced: str | None = None) -> str:
    """The id of the `present` container if it exists, else of one of the same service that has its name, else of one
    created from the spec. It may not run yet.

    Raises:
        GputuiError: there is none, and none can be created (one that could not be connected to its networks is removed
            again). Or the `replaced` container has its place again: an undo was carried out but not recorded.
    """
    for ref in (present, spec.name) if present else (spec.name,):
        try:
            container = engine.inspect(ref)
        except NotFound:
            continue
        if container.id == replaced:
            raise EngineError(f"the old container is in the place of {spec.name} again")
        if container.id == present or _is_of(container, spec):
            if container.state == "created":  # by an interrupted attempt, before it had its networks
                connect_all(engine, container.id, spec)
            return container.id
    new = engine.create(spec)
    try:
        connect_all(engine, new, spec)
    except EngineError:
        engine.remove(new)
        raise
    return new


def start_in_place(engine: Engine, ref: str, name: str) -> None:
    """Start it, under this name if that is free.

    Raises:
        GputuiError: it cannot be started.
    """
    engine.start(ref)
    # Compose up to 1.29 renames a container that it is about to replace.
    with suppress(EngineError):
        rename(engine, ref, name)


def _is_of(container: Container, spec: ContainerSpec) -> bool:
    return is_same_service(container.labels, spec.body.get("Labels") or {})
