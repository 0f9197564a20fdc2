"""What the process of an apply does, and the lock that lets only one run."""

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
    """The request of this process, for which it waits; None where whoever started it needs it no more. What it writes
    goes to the log of its apply from then on."""
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
    """Carry out an apply in this process, or finish it where it was cut off.

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
        result = executor.roll_back() if finish == "take back" else executor.run(lambda: bool(signals))
        executor.guard()
        return result


class ApplyLock:
    """One apply at a time on an engine. The kernel lets go of it when its process ends, however it ends."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "apply.lock"
        self._handle: int | None = None

    def take(self, limit_s: float = 0.0) -> None:
        """Take it; wait for it at most `limit_s`, for an apply that has ended looks after what it made for a while.

        Raises:
            Conflict: another process has it.
            GputuiError: the file cannot be opened.
        """
        try:
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o660)
            with suppress(PermissionError):  # it is somebody else's file, who gave the group its rights
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
