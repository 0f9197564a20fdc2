"""An apply as a process of its own, and the lock that lets only one run."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import TypeAdapter

from gputui.apply.executor import Executor
from gputui.containers.engine import Engine
from gputui.domain.errors import Conflict, GputuiError
from gputui.domain.event import Finish, Result
from gputui.gpus.source import GpuSource
from gputui.project.applies import Applies

LOCK_LIMIT_S = 30.0
VERB = "carry-out"
"""The verb, not meant for people, that an apply process is started with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What an apply's process is told: which apply is its own, how it is to end it, and where it is on record."""

    apply_id: int
    how: Finish
    state_dir: Path

    @property
    def log(self) -> Path:
        """Where its process writes what is no event."""
        return self.state_dir / f"apply-{self.apply_id}.log"


class Launcher:
    """Starts the processes of applies: in a session of their own, without this terminal, so that neither quitting nor
    a lost connection reaches them. `options` say which engine they are about."""

    def __init__(self, options: Sequence[str]) -> None:
        self._command = [sys.executable, "-m", "gputui", *options, VERB]
        self._standing_by: subprocess.Popen[bytes] | None = None

    def stand_by(self) -> None:
        """Start a process before its order is known, so that the apply need not wait until it is up. It ends by itself
        when this process does."""
        self._standing_by = self._started(subprocess.DEVNULL)

    def launch(self, order: Order) -> subprocess.Popen[bytes]:
        """The process that carries out this order."""
        process, self._standing_by = self._standing_by, None
        if process is not None and _told(process, order):
            return process
        with order.log.open("ab") as log:
            process = self._started(log)
        _told(process, order)  # one that is gone already is seen as an apply that was cut off, with its log
        return process

    def _started(self, log: IO[bytes] | int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd="/", start_new_session=True
        )


def _told(process: subprocess.Popen[bytes], order: Order) -> bool:
    """Whether the process was there to be told."""
    assert process.stdin is not None
    try:
        with process.stdin as pipe:
            pipe.write(TypeAdapter(Order).dump_json(order) + b"\n")
    except OSError:
        return False
    return process.poll() is None


def await_order() -> Order | None:
    """The order of this process, for which it waits; None where whoever started it needs it no more. What it writes
    goes to the log of its apply from then on."""
    line = sys.stdin.readline()
    if not line.endswith("\n"):
        return None
    order = TypeAdapter(Order).validate_json(line)
    log = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o660)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    return order


def carry_out(engine: Engine, source: GpuSource, applies: Applies, order: Order) -> Result:
    """Carry out an apply in this process, or finish it where it was cut off.

    Raises:
        Conflict: another apply holds the lock.
    """
    apply_id, how = order.apply_id, order.how
    asked: list[int] = []
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _frame: asked.append(number))
    lock = ApplyLock(order.state_dir)
    try:
        lock.take(LOCK_LIMIT_S)
    except Conflict as error:
        if how == "carry out":
            applies.end(apply_id, "rolled_back", {}, error.what)
        raise
    with lock:
        fresh = not applies.journal(apply_id)
        if applies.record(apply_id).result != "running" or (how == "carry out" and not fresh):
            raise Conflict(f"apply {apply_id} was begun before", "see `gputui history`")
        applies.claim(apply_id, os.getpid())
        executor = Executor(engine, source, applies, apply_id)
        result = executor.take_back() if how == "take back" else executor.run(lambda: bool(asked))
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
