"""How each kind of operation is done: forwards, and idempotently when it takes another back."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from gputui.apply.witness import NotWell, confirm_gpus, holders, stay_up, watch
from gputui.containers.engine import Engine
from gputui.domain.container import LABEL_APPLY, ContainerSpec
from gputui.domain.errors import GputuiError, NotFound
from gputui.domain.gpu import Gpu
from gputui.domain.plan import Operation, Task
from gputui.gpus.source import GpuSource

KEPT_LOG_LINES = 10_000


@dataclass(slots=True)
class Parts:
    """The containers of one task: the one it starts from, and the one it makes."""

    old: str | None
    new: str | None = None

    def of(self, operation: Operation) -> str:
        """The container that an operation is about."""
        ref = self.old if operation.target == "old" else self.new
        if ref is None:
            raise NotFound(f"{operation.text}: there is no {operation.target} container")
        return ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What operations are done with. `tell` reports progress, `keep` stores a log."""

    engine: Engine
    source: GpuSource
    gpus: tuple[Gpu, ...]
    settle_s: float
    health_limit_s: float
    tell: Callable[[str], None]
    keep: Callable[[str, tuple[bytes, ...]], None]


def perform(operation: Operation, parts: Parts, hands: Hands) -> str | None:  # noqa: PLR0912 - one branch a kind
    """Do one operation; a line to read where there is more to say than that it was done.

    Raises:
        EngineError: it failed, or what it was to see is not so.
        Unreachable: the engine went away.
    """
    engine, arguments = hands.engine, operation.arguments
    match operation.kind:
        case "create":
            assert operation.spec is not None
            parts.new = engine.create(operation.spec)
        case "connect":
            engine.connect(parts.of(operation), arguments["network"], arguments["endpoint"])
        case "check_request":
            _check_request(engine, parts.of(operation), tuple(arguments["device_ids"]))
        case "stop":
            engine.stop(parts.of(operation), arguments["timeout_s"])
        case "await_release":
            return _await_release(hands, parts.of(operation), arguments["limit_s"])
        case "set_restart_policy":
            engine.set_restart_policy(parts.of(operation), arguments["policy"])
        case "rename":
            engine.rename(parts.of(operation), arguments["name"])
        case "start" | "put_back":
            engine.start(parts.of(operation))
        case "restart":
            engine.restart(parts.of(operation), arguments["timeout_s"])
        case "watch":
            watch(
                engine,
                parts.of(operation),
                settle_s=hands.settle_s,
                health_limit_s=hands.health_limit_s,
                tell=hands.tell,
            )
        case "confirm_gpus":
            nodes = arguments["nodes"]
            return confirm_gpus(
                engine,
                hands.source,
                hands.gpus,
                parts.of(operation),
                expected=tuple(arguments["gpus"]),
                nodes=None if nodes is None else frozenset(nodes),
            )
        case "keep_log":
            ref = parts.of(operation)
            hands.keep(ref, engine.last_log(ref, KEPT_LOG_LINES))
        case "remove":
            engine.remove(parts.of(operation))
        case "ensure_network":
            engine.ensure_network(arguments["name"], arguments["labels"])
        case "ensure_volume":
            engine.ensure_volume(arguments["name"], arguments["labels"])
    return None


def _check_request(engine: Engine, ref: str, wanted: tuple[str, ...]) -> None:
    request = engine.inspect(ref).gpu_request
    stored = request.device_ids if request else ()
    if stored != wanted:
        raise NotWell(
            f"the engine stored the GPUs {', '.join(stored) or 'none'} instead of {', '.join(wanted) or 'none'}"
        )


def _await_release(hands: Hands, ref: str, limit_s: float) -> str | None:
    until = time.monotonic() + limit_s
    while held := holders(hands.source, hands.gpus, ref):
        if time.monotonic() > until:
            return "still held: " + ", ".join(f"GPU {label} by pid {pid}" for label, pid in held)
        time.sleep(0.1)
    return "who holds GPU memory cannot be seen" if held is None else None


def take_back(undo: Operation, done: Operation, task: Task, parts: Parts, hands: Hands) -> str | None:
    """Undo one operation, whatever of it had been carried out: the state that is found decides.

    Raises:
        GputuiError: it cannot be undone.
    """
    engine = hands.engine
    if undo.kind == "put_back":
        return _put_back(task, parts, hands)
    ref = parts.old if undo.target == "old" else parts.new
    if ref is None and done.spec is not None:
        ref = _made_by_us(engine, done.spec)
        parts.new = ref
    if ref is None:
        return "nothing to do"
    try:
        found = engine.inspect(ref)
    except NotFound:
        return "it is gone already"
    if undo.kind == "rename" and found.name == undo.arguments["name"]:
        return "nothing to do"
    if undo.kind == "stop" and found.state in ("exited", "created", "dead"):
        return "it does not run"
    try:
        perform(undo, parts, hands)
    except NotFound:
        return "it is gone already"
    return None


def _made_by_us(engine: Engine, spec: ContainerSpec) -> str | None:
    """The container that this very apply made, where the reply to its create call was lost; a stranger that has the
    name lacks the token."""
    try:
        found = engine.inspect(spec.name)
    except NotFound:
        return None
    token = (spec.body.get("Labels") or {}).get(LABEL_APPLY)
    return found.id if token and found.labels.get(LABEL_APPLY) == token else None


PUT_BACK_TRIES = 3
PUT_BACK_WATCH_S = 2.0


def _put_back(task: Task, parts: Parts, hands: Hands) -> str | None:
    """The old container is seen to run again; made anew from its spec where somebody removed it meanwhile.

    Raises:
        GputuiError: it does not stay up.
    """
    engine = hands.engine
    note = None
    if parts.new is not None:
        _await_release(hands, parts.new, 10)
    for _ in range(PUT_BACK_TRIES):
        try:
            running = engine.inspect(parts.old or "").running
        except NotFound:
            note = "somebody had removed it; it was made again from its spec"
            running = False
            parts.old = _made_again(task, engine)
        if not running:
            engine.start(parts.old or "")
        try:
            # A stop that was given up may still be carried out by the daemon, so it has to be seen to stay up.
            stay_up(engine, parts.old or "", PUT_BACK_WATCH_S)
        except NotWell:
            continue
        return note
    raise GputuiError(f"the old container does not stay up after {PUT_BACK_TRIES} starts")


def _made_again(task: Task, engine: Engine) -> str:
    if task.old_spec is None:
        raise GputuiError("the old container was removed and its spec is not known")
    made = engine.create(task.old_spec)
    for network, endpoint in task.old_spec.networks.items():
        engine.connect(made, network, endpoint)
    return made
