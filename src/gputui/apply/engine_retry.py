"""Retries calls while the engine is away, up to a limit."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from gputui.domain.errors import EngineError, NotFound, Unreachable
from gputui.domain.message import Message, message

T = TypeVar("T")

RETRY_S = 1.0
INSIST_PAUSES_S = (0.2, 1.0, 3.0)
OUTAGE_LIMIT_S = 180.0
"""How long an engine may be away (a restart of the daemon) before an apply gives up waiting for it."""


class EngineRetry:
    """Repeats idempotent calls while the engine does not answer.

    All threads share the wait for one outage: once it has lasted for `OUTAGE_LIMIT_S`, every call fails at its first
    try until one gets an answer again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._away_since: float | None = None

    def call(self, call: Callable[[], T], waiting: Callable[[Message], None] = lambda _: None) -> T:
        """What the call returns; `waiting` is called once if it has to wait.

        Raises:
            Unreachable: the engine stayed away.
        """
        reported = False
        while True:
            try:
                result = call()
            except Unreachable as error:
                if self._exhausted():
                    raise
                if not reported:
                    reported = True
                    waiting(message("waiting-for-engine", error=error.what))
                time.sleep(RETRY_S)
                continue
            with self._lock:
                self._away_since = None
            return result

    def insist(self, call: Callable[[], T], waiting: Callable[[Message], None] = lambda _: None) -> T:
        """The same for a call that must succeed: an engine error is not a reason to give up at once, either.

        Raises:
            EngineError: it was refused every time, or its object does not exist.
            Unreachable: the engine stayed away.
        """
        for pause in INSIST_PAUSES_S:
            try:
                return self.call(call, waiting)
            except NotFound:
                raise
            except EngineError:
                time.sleep(pause)
        return self.call(call, waiting)

    def _exhausted(self) -> bool:
        with self._lock:
            if self._away_since is None:
                self._away_since = time.monotonic()
            return time.monotonic() - self._away_since > OUTAGE_LIMIT_S
