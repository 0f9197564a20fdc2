"""The process of an apply, and the lock that allows only one at a time."""

import fcntl
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from gputui.apply.executor import Executor
from gputui.apply.launcher import ApplyRequest
from gputui.apply.transaction import prepare_reading
from gputui.domain.errors import Conflict, GputuiError
from gputui.domain.event import Result
from gputui.engine.protocol import Engine
from gputui.gpus.source import GpuSource
from gputui.state.applies import Applies
from gputui.state.json_values import from_json, prepare

LOCK_LIMIT_S = 30.0


def await_request() -> ApplyRequest | None:
    """Wait for the request of this process; None if its parent no longer needs it. From then on its output goes to the
    log of its apply."""
    prepare(ApplyRequest)
    prepare_reading()
    line = sys.stdin.readline()
    if not line.endswith("\n"):
        return None
    request = from_json(ApplyRequest, line)
    log = os.open(request.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o660)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    return request


def carry_out(engine: Engine, source: GpuSource, applies: Applies, request: ApplyRequest) -> Result:
    """Carry out an apply in this process, or finish an interrupted one.

    Raises:
        Conflict: another apply holds the lock.
    """
    apply_id, finish = request.apply_id, request.how
    signals: list[int] = []
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _frame: signals.append(number))
    lock = ApplyLock(request.state_dir)
    try:
        lock.take(LOCK_LIMIT_S)
    except Conflict as error:
        if finish == "carry out":
            applies.end(apply_id, "rolled_back", {}, error.what)
        raise
    with lock:
        fresh = not applies.journal(apply_id)
        if applies.record(apply_id).result != "running" or (finish == "carry out" and not fresh):
            raise Conflict(f"apply {apply_id} was begun before", "see `gputui history`")
        applies.claim(apply_id, os.getpid())
        executor = Executor(engine, source, applies, apply_id)
        result = executor.roll_back() if finish == "roll back" else executor.run(lambda: bool(signals))
        executor.guard()
        return result


class ApplyLock:
    """Allows one apply at a time per engine. The kernel releases it when its process exits, however it exits."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "apply.lock"
        self._handle: int | None = None

    def take(self, limit_s: float = 0.0) -> None:
        """Acquire it; wait at most `limit_s`, because an ended apply still watches its containers for a while.

        Raises:
            Conflict: another process holds it.
            GputuiError: the file cannot be opened.
        """
        try:
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o660)
            with suppress(PermissionError):  # the file belongs to somebody else, who gave the group access
                os.fchmod(self._handle, 0o660)
        except OSError as error:
            raise GputuiError(f"{self._path} cannot be opened: {error.strerror}", "check its permissions") from error
        until = time.monotonic() + limit_s
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() < until:
                    time.sleep(0.1)
                    continue
                os.close(self._handle)
                self._handle = None
                raise Conflict("another apply is running", "wait for it to end: `gputui status` shows it") from None
            return

    def __enter__(self) -> "ApplyLock":
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
