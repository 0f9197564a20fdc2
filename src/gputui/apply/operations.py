"""How each operation is done. All may be done twice: what is found decides what is left to do."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from gputui.apply.engine_retry import Patience
from gputui.apply.health_gate import NVML_LIMIT_S, NotWell, confirm_gpus, holders, stay_up, watch, within
from gputui.domain import compose_labels
from gputui.domain.container import LABEL_APPLY, LIVING, Container, ContainerSpec, lasting_name
from gputui.domain.errors import EngineError, GputuiError, NotFound
from gputui.domain.gpu import Gpu
from gputui.domain.operation import Action as Do
from gputui.domain.operation import (
    AwaitRelease,
    CheckRequest,
    CheckStart,
    CommitImage,
    ConfirmGpus,
    Connect,
    Create,
    EnsureNetwork,
    EnsureVolume,
    KeepLog,
    Operation,
    Part,
    Pause,
    PutBack,
    Remove,
    RemoveImage,
    Rename,
    Restart,
    SetRestartPolicy,
    Start,
    Stop,
    Unlink,
    Unpause,
    Watch,
)
from gputui.engine.protocol import Engine
from gputui.gpus.source import GpuSource

KEPT_LOG_LINES = 10_000
UNACCOUNTED_MIB = 1024
"""Memory of a GPU that no process is seen to hold, beyond which it is taken for memory that is still being freed."""
UNCHANGED_S = 2.0
AGAIN_STOP_S = 10


@dataclass(slots=True)
class Parts:
    """The containers of one task: the one it starts from, and the one it makes."""

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
class Hands:
    """What operations are done with. `tell` reports progress, `keep` stores a log, `abandoned` says that another
    container of the same unit failed, `cancelled` who does not want it any more."""

    engine: Engine
    source: GpuSource
    gpus: tuple[Gpu, ...]
    patience: Patience
    tell: Callable[[str], None]
    keep: Callable[[str, tuple[bytes, ...]], None]
    abandoned: Callable[[], bool]
    cancelled: Callable[[], str]


def perform(do: Do, parts: Parts, hands: Hands) -> str | None:  # noqa: PLR0912, PLR0915 - one branch a kind
    """Do one operation; a line to read where there is more to say than that it was done.

    Raises:
        EngineError: it failed, or what it was to see is not so.
        Unreachable: the engine went away.
    """
    engine = hands.engine
    match do:
        case CommitImage():
            if engine.image_id(do.image) is None:
                engine.commit_image(parts.of(do.part), do.image)
        case RemoveImage():
            engine.remove_image(do.image)
        case EnsureNetwork():
            engine.ensure_network(do.name, do.body)
        case EnsureVolume():
            engine.ensure_volume(do.name, do.body)
        case Create():
            parts.new = _created(engine, do.spec, parts.new)
        case Connect():
            if do.network not in engine.networks_of(parts.of(do.part)):
                engine.connect(parts.of(do.part), do.network, do.endpoint)
        case CheckRequest():
            _check_request(engine, parts.of(do.part), do.device_ids)
        case Stop():
            engine.stop(parts.of(do.part), do.timeout_s)
        case AwaitRelease():
            return await_release(do, parts.of(do.part), hands)
        case SetRestartPolicy():
            if do.name == "no":
                _keep_stopped(engine, parts.of(do.part))
            engine.set_restart_policy(parts.of(do.part), {"Name": do.name, "MaximumRetryCount": do.retries})
        case Rename():
            _rename(engine, parts.of(do.part), do.name)
        case Start():
            if do.part == "new" and parts.old is not None:
                _keep_stopped(engine, parts.old)
            engine.start(parts.of(do.part))
        case Restart():
            engine.restart(parts.of(do.part), do.timeout_s)
        case Pause():
            there = engine.inspect(parts.of(do.part))
            if there.running:
                engine.pause(parts.of(do.part))
            elif there.state != "paused":
                # What could not be put back yet is paused once it is.
                raise NotWell("it does not run, so that it cannot be paused")
        case Unpause():
            if engine.inspect(parts.of(do.part)).state == "paused":
                engine.unpause(parts.of(do.part))
        case CheckStart():
            missing = engine.start_obstacles(parts.of(do.part))
            if missing:
                raise NotWell(f"it could not be started again: {'; '.join(missing)}")
        case Unlink():
            for name, alias in do.links:
                with suppress(NotFound):
                    engine.unlink(name, alias)
        case Watch():
            ref = parts.of(do.part)
            return watch(
                engine, ref, do, patience=hands.patience, tell=hands.tell, abandoned=hands.abandoned,
                cancelled=hands.cancelled,
            )  # fmt: skip
        case ConfirmGpus():
            return confirm_gpus(engine, hands.source, hands.gpus, parts.of(do.part), do)
        case KeepLog():
            ref = parts.of(do.part)
            hands.keep(ref, engine.last_log(ref, KEPT_LOG_LINES))
        case Remove():
            engine.remove(parts.of(do.part))
        case PutBack():
            raise NotWell("what is put back is put back by an undo")
    return None


def _rename(engine: Engine, ref: str, name: str) -> None:
    try:
        engine.rename(ref, name)
    except EngineError:  # the engine refuses a name that the container has already
        if engine.inspect(ref).name != name:
            raise


def _keep_stopped(engine: Engine, ref: str) -> None:
    """A container that was stopped may run again: one with the restart policy `always` comes back with its daemon."""
    with suppress(NotFound):
        if engine.inspect(ref).state in LIVING:
            engine.stop(ref, AGAIN_STOP_S)


def _created(engine: Engine, spec: ContainerSpec, made: str | None) -> str:
    """The new container; the one that was made before, where the reply to that was lost."""
    if made is not None:
        return engine.inspect(made).id
    try:
        return engine.create(spec)
    except EngineError:
        found = made_by_us(engine, spec)
        if found is None:
            raise
        return found


def made_by_us(engine: Engine, spec: ContainerSpec) -> str | None:
    """The container that this very apply made under this name; a stranger that has the name lacks the token."""
    try:
        found = engine.inspect(spec.name)
    except NotFound:
        return None
    token = (spec.body.get("Labels") or {}).get(LABEL_APPLY)
    return found.id if token and found.labels.get(LABEL_APPLY) == token else None


def _check_request(engine: Engine, ref: str, wanted: tuple[str, ...]) -> None:
    request = engine.inspect(ref).gpu_request
    stored = request.device_ids if request else ()
    if stored != wanted:
        raise NotWell(
            f"the engine stored the GPUs {', '.join(stored) or 'none'} instead of {', '.join(wanted) or 'none'}"
        )


def await_release(do: AwaitRelease, ref: str, hands: Hands) -> str | None:
    """Wait until the processes are gone from every GPU, and then until the memory that nobody holds is freed."""
    until = time.monotonic() + do.limit_s
    while held := holders(hands.source, hands.gpus, ref):
        if time.monotonic() > until:
            return "still held: " + ", ".join(f"GPU {label} by pid {pid}" for label, pid in held)
        time.sleep(0.1)
    if held is None:
        return "who holds GPU memory cannot be seen"
    left = {label: mib for label, mib in _unaccounted(do, hands).items() if mib > UNACCOUNTED_MIB}
    since = time.monotonic()
    while left and time.monotonic() < min(until, since + UNCHANGED_S):
        time.sleep(0.1)
        now = {label: mib for label, mib in _unaccounted(do, hands).items() if mib > UNACCOUNTED_MIB}
        if now != left:
            left, since = now, time.monotonic()
    if not left:
        return None
    return ", ".join(f"{mib} MiB on GPU {label} are held by no process that is seen" for label, mib in left.items())


def _unaccounted(do: AwaitRelease, hands: Hands) -> dict[str, int]:
    """MiB on the GPUs that no process is seen to hold, where both are known."""
    found = {}
    for gpu in hands.gpus:
        if gpu.uuid not in do.gpus:
            continue
        reading = within(NVML_LIMIT_S, partial(hands.source.read, gpu))
        processes = within(NVML_LIMIT_S, partial(hands.source.processes, gpu))
        if reading is None or processes is None:
            continue  # a driver that hangs must not hold a service that is stopped
        used = reading.memory_used_mib
        held = [process.memory_mib for process in processes]
        known = [mib for mib in held if mib is not None]
        if used is not None and len(known) == len(held):
            found[gpu.label] = used - sum(known)
    return found


PUT_BACK_TRIES = 3
SAME_SERVICE = (compose_labels.PROJECT, compose_labels.SERVICE)
PUT_BACK_WATCH_S = 2.0


def take_back(operation: Operation, parts: Parts, old_spec: ContainerSpec | None, hands: Hands) -> str | None:
    """Undo one operation, whatever of it had been carried out: the state that is found decides.

    Raises:
        GputuiError: it cannot be undone.
    """
    undo, done, engine = operation.undo, operation.do, hands.engine
    assert undo is not None
    if isinstance(undo, PutBack):
        return _put_back(undo, parts, old_spec, hands)
    if isinstance(undo, RemoveImage):
        perform(undo, parts, hands)
        return None
    if undo.part == "new" and parts.new is None and isinstance(done, Create):
        parts.new = made_by_us(engine, done.spec)
    try:
        found = engine.inspect(parts.of(undo.part))
    except NotFound:
        return "it is gone already"
    if isinstance(undo, Rename) and found.name != undo.name and _replaced(engine, found, undo.name, parts):
        return "somebody else's container of this service has the name"
    if isinstance(undo, Stop) and found.state in ("exited", "created", "dead"):
        return "it does not run"
    try:
        perform(undo, parts, hands)
    except NotFound:
        return "it is gone already"
    return None


def _replaced(engine: Engine, old: Container, name: str, parts: Parts) -> bool:
    """Whether somebody else's container of the same service runs under its name."""
    try:
        other = engine.inspect(name)
    except NotFound:
        return False
    return other.id not in (parts.old, parts.new) and other.running and _same_labels(other.labels, old.labels)


def _put_back(undo: PutBack, parts: Parts, old_spec: ContainerSpec | None, hands: Hands) -> str | None:
    """The old container is seen to run again; made anew from its spec where somebody removed it meanwhile. Where
    somebody else's container of the same service runs by now, that one stands for it, and the old one goes.

    Raises:
        GputuiError: it does not stay up.
    """
    engine = hands.engine
    note = None
    with suppress(NotFound):
        old = engine.inspect(parts.of("old"))
        if old.name != lasting_name(old.name) and _replaced(engine, old, lasting_name(old.name), parts):
            engine.remove(old.id)
            parts.old = None
            return "somebody else started one in its place, which is left as it is"
    for _ in range(PUT_BACK_TRIES):
        try:
            running = engine.inspect(parts.old or "").running
        except NotFound:
            note = "somebody had removed it; it was made again from its spec"
            running = False
            parts.old = _made_again(old_spec, engine)
        if not running:
            engine.start(parts.of("old"))
        if not undo.steady:
            return note  # it did not stay up before either
        try:
            # A stop that was given up may still be carried out by the daemon, so it has to be seen to stay up.
            stay_up(engine, parts.of("old"), PUT_BACK_WATCH_S)
        except NotWell:
            continue
        return note
    raise GputuiError(f"the old container does not stay up after {PUT_BACK_TRIES} starts")


def in_place(engine: Engine, spec: ContainerSpec, present: str | None, replaced: str | None = None) -> str:
    """The `present` container if it is there, one of the same service that has its name, or one that is made from the
    spec; its id. It may not run yet.

    Raises:
        GputuiError: there is none, and none can be made; what could not be connected to its networks is gone again. Or
            the container that was `replaced` has its place again: an undo was carried out and not written down.
    """
    for ref in (present, spec.name) if present else (spec.name,):
        try:
            found = engine.inspect(ref)
        except NotFound:
            continue
        if found.id == replaced:
            raise EngineError(f"the old container is in the place of {spec.name} again")
        if found.id == present or _is_same_service(found, spec):
            if found.state == "created":  # by a try that was cut off, before it had its networks
                _connect(engine, found.id, spec)
            return found.id
    made = engine.create(spec)
    try:
        _connect(engine, made, spec)
    except EngineError:
        engine.remove(made)
        raise
    return made


def start_in_place(engine: Engine, ref: str, name: str) -> None:
    """It runs, under this name where that is free.

    Raises:
        GputuiError: it cannot be started.
    """
    engine.start(ref)
    # Compose up to 1.29 renames a container that it is about to replace.
    with suppress(EngineError):
        _rename(engine, ref, name)


def _is_same_service(found: Container, spec: ContainerSpec) -> bool:
    return _same_labels(found.labels, spec.body.get("Labels") or {})


def _same_labels(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Of the same service, by what Compose writes; containers without these labels are never taken for each other."""
    return all(one.get(name) and one.get(name) == other.get(name) for name in SAME_SERVICE)


def _made_again(spec: ContainerSpec | None, engine: Engine) -> str:
    """The old container made from its spec; one that has its name by now is taken for it if it is the same service."""
    if spec is None:
        raise GputuiError("the old container was removed and its spec is not known")
    try:
        made = engine.create(spec)
    except EngineError:
        found = engine.inspect(spec.name)
        if not _is_same_service(found, spec):
            raise
        made = found.id
    _connect(engine, made, spec)
    return made


def _connect(engine: Engine, ref: str, spec: ContainerSpec) -> None:
    for network, endpoint in spec.networks.items():
        if network not in engine.networks_of(ref):
            engine.connect(ref, network, endpoint)
