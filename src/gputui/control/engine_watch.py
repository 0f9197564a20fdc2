"""Keeps the list of containers, and reconnects by itself when the engine was away."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from gputui.containers.engine import Engine, Stream
from gputui.domain.container import Container
from gputui.domain.errors import GputuiError
from gputui.domain.snapshot import EngineStatus
from gputui.domain.text import clean
from gputui.planning.mechanism import with_evidence

POLL_S = 2.0
PAUSE_S = 1.0
"""From one look to the next, however much happens: an apply alone makes a hundred events."""


class EngineWatch:
    """Lists the containers every two seconds, and sooner when the engine reports that something happened. `changed` is
    called when what it saw is not what it was."""

    def __init__(self, engine: Engine, changed: Callable[[], None], connected: Callable[[EngineStatus], None]) -> None:
        self._engine = engine
        self._changed = changed
        self._connected = connected
        self._stop = threading.Event()
        self._poke = threading.Event()
        self._learning = threading.Lock()
        self._events: Stream | None = None
        self.status = EngineStatus(reason="connecting to the container engine", pending=True)
        self.containers: tuple[Container, ...] = ()
        self.first_answer = threading.Event()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="engine", daemon=True).start()

    def _run(self) -> None:
        told = None
        while not self._stop.is_set():
            self._look()
            seen = (self.status, self.containers)
            if seen != told:
                told = seen
                self._changed()
            self.first_answer.set()
            self._stop.wait(PAUSE_S)
            self._poke.wait(POLL_S - PAUSE_S)
            self._poke.clear()

    def _look(self) -> None:
        try:
            found: EngineStatus | None = None
            if self.status.info is None:
                found = EngineStatus(info=self._engine.info())
                self._connected(found)
            self.containers = self._engine.containers()
            # Only now: an engine that counts as connected while its containers are not known has none of them.
            if found is not None:
                self.status = found
            self._learn_from(self.containers)
            if self._events is None:
                self._follow_events()
        except GputuiError as error:
            self._lost(error.what, error.fix)
        except Exception as error:  # an answer that no engine should give must not end the watching
            self._lost(f"the engine gave an answer that is not understood: {clean(repr(error), 200)}", "")

    def _lost(self, reason: str, fix: str) -> None:
        self.status = EngineStatus(reason=reason, fix=fix)
        self.containers = ()
        self._events = None

    def _follow_events(self) -> None:
        events = self._engine.events()
        self._events = events

        def follow() -> None:
            try:
                for _ in events:
                    self._poke.set()
            finally:
                if self._events is events:
                    self._events = None

        threading.Thread(target=follow, name="engine-events", daemon=True).start()

    def learn(self, *, nvidia_driver: bool) -> None:
        """Whether it has NVIDIA's device driver was found out."""
        with self._learning:
            info = self.status.info
            if info is not None and info.capabilities.nvidia_driver is None:
                can = replace(info.capabilities, nvidia_driver=nvidia_driver)
                self.status = replace(self.status, info=replace(info, capabilities=can))

    def _learn_from(self, containers: Sequence[Container]) -> None:
        if self.status.info is not None and with_evidence(self.status.info.capabilities, containers).nvidia_driver:
            self.learn(nvidia_driver=True)

    def look_now(self) -> None:
        """List the containers again soon."""
        self._poke.set()

    def close(self) -> None:
        """Stop."""
        self._stop.set()
        self._poke.set()
        if self._events is not None:
            self._events.close()
