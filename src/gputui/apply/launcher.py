"""Starts the process of an apply and sends it its request."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gputui.domain.event import Finish
from gputui.state.json_values import to_json

VERB = "carry-out"
"""The internal verb that an apply process is started with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyRequest:
    """What an apply's process is told: which apply to work on, how to end it, and where it is recorded."""

    apply_id: int
    how: Finish
    state_dir: Path

    @property
    def log(self) -> Path:
        """Where its process writes everything that is not an event."""
        return self.state_dir / f"apply-{self.apply_id}.log"


class Launcher:
    """Starts the processes of applies in a session of their own, detached from this terminal, so that neither quitting
    nor a lost connection affects them. `options` select the engine."""

    def __init__(self, options: Sequence[str]) -> None:
        self._command = [sys.executable, "-m", "gputui", *options, VERB]
        self._standing_by: subprocess.Popen[bytes] | None = None

    def stand_by(self) -> None:
        """Start a process before its request is known, so that the apply need not wait until it is up. It exits by
        itself when this process does."""
        self._standing_by = self._started(subprocess.DEVNULL)

    def launch(self, request: ApplyRequest) -> subprocess.Popen[bytes]:
        """The process that carries out this request."""
        process, self._standing_by = self._standing_by, None
        if process is not None and _handed_over(process, request):
            return process
        with request.log.open("ab") as log:
            process = self._started(log)
        _handed_over(process, request)  # if it is gone already, its apply counts as interrupted and has its log
        return process

    def _started(self, log: IO[bytes] | int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd="/", start_new_session=True
        )


def _handed_over(process: subprocess.Popen[bytes], request: ApplyRequest) -> bool:
    """Whether the process was alive to receive it."""
    assert process.stdin is not None
    try:
        with process.stdin as pipe:
            pipe.write(to_json(request).encode() + b"\n")
    except OSError:
        return False
    return process.poll() is None
