"""Looking after what was just made, while somebody else may be about to take it away.

`docker compose up` lists the containers of a service and then removes what it thinks is one too many. Where it lists
them while an apply has two of them, it may remove the new one after the old one is gone; and where something of it
fails then, it ends at once, and leaves stopped what it was about to replace.
"""

import threading
import time
from collections.abc import Callable, Mapping, Set
from contextlib import suppress

from gputui.containers.container_events import ContainerEvent, events_in
from gputui.containers.engine import Engine, Stream
from gputui.domain.container import LABEL_APPLY, Container
from gputui.domain.errors import GputuiError, NotFound
from gputui.domain.moments import moment

LOOK_S = 0.3
GUARD_S = 1.5
"""How long a container is looked after once the apply has ended."""
STOP_TIMEOUT_S = 10
"""How long engines let a container that does not say so take to stop, before they kill it."""
STOP_GRACE_S = 20.0
"""How much longer than that one that somebody is stopping is waited for."""
REVIVALS = 3
"""How often one container is brought back."""
REPLACED_S = 3.0
"""How long one that was taken away is waited for to be replaced by whoever took it."""

PROJECT = "com.docker.compose.project"
ONE_OFF = "com.docker.compose.oneoff"


class Guardian:
    """Notes what others do to containers, from `begin` on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kills: dict[str, list[ContainerEvent]] = {}
        self._changing: set[str] = set()
        """The Compose projects of which somebody else makes containers."""
        self._stream: Stream | None = None

    def begin(self) -> None:
        """Begin to listen; without what the engine tells, what is gone is only seen when it is gone."""
        # On a thread of its own: an engine that hangs must not keep the apply from its own limits.
        threading.Thread(target=self._follow, name="guardian", daemon=True).start()

    def _follow(self) -> None:
        try:
            stream = self._stream = self._engine.events()
        except GputuiError:
            return
        for event in events_in(stream):
            if event.action == "kill":
                self._kills.setdefault(event.container_id, []).append(event)
            if event.action == "create" and LABEL_APPLY not in event.attributes:
                project = event.attributes.get(PROJECT)
                # `docker compose run` replaces nothing.
                if project and event.attributes.get(ONE_OFF) != "True":
                    self._changing.add(project)

    def close(self) -> None:
        """Stop listening."""
        if self._stream is not None:
            self._stream.close()

    def is_well(self, ref: str) -> bool:
        """Whether the container is still there and runs, and nobody is stopping it; waits for what is being stopped.
        What the engine does not tell is taken for well."""
        began = time.monotonic()
        while True:
            try:
                container = self._engine.inspect(ref)
            except NotFound:
                return False
            except GputuiError:
                return True
            if not container.running:
                return False
            if not self._is_killed(container):
                return True
            if time.monotonic() - began > (container.stop_timeout_s or STOP_TIMEOUT_S) + STOP_GRACE_S:
                self._kills.pop(container.id, None)  # it heeds no signal
                return True
            time.sleep(LOOK_S)

    def _is_killed(self, container: Container) -> bool:
        """Whether somebody stopped it since it was started: a daemon that comes back starts what it stopped."""
        started = moment(container.started_at or "") or 0.0
        return any(kill.at >= started and kill.stops(container) for kill in self._kills.get(container.id, ()))

    def guard(self, containers: Mapping[str, Callable[[], str]]) -> None:
        """Look after containers (by id) for a while; one that is taken away is brought back by its function, which
        returns the id of the one to look after from then on.

        One that somebody stops once the apply has ended stays so, unless a `docker compose up` is seen to be at work.
        """
        watched = dict(containers)
        revivals = dict.fromkeys(containers.values(), REVIVALS)
        # Whoever stopped it before the apply had ended did not mean what the apply made.
        stopped_before = {ref for ref in watched if not self.is_well(ref)}
        taken: dict[str, float] = {}
        until = time.monotonic() + GUARD_S
        while watched and time.monotonic() < until:
            for ref, bring_back in list(watched.items()):
                if self.is_well(ref) or not self._was_taken(ref):
                    taken.pop(ref, None)
                    continue
                # Whoever took it away may be putting another one in its place.
                since = taken.setdefault(ref, time.monotonic())
                until = max(until, since + REPLACED_S + GUARD_S)
                if time.monotonic() - since < REPLACED_S:
                    continue
                del watched[ref], taken[ref]
                if revivals[bring_back] and self._comes_back(ref, stopped_before):
                    revivals[bring_back] -= 1
                    with suppress(GputuiError):
                        watched[bring_back()] = bring_back
            time.sleep(LOOK_S)

    def _comes_back(self, ref: str, stopped_before: Set[str]) -> bool:
        """Whether one that somebody stopped or removed is to be brought back."""
        try:
            container = self._engine.inspect(ref)
        except NotFound:
            return True
        except GputuiError:
            return False
        return ref in stopped_before or container.labels.get(PROJECT) in self._changing

    def _was_taken(self, ref: str) -> bool:
        """Whether it is gone, or somebody stopped it; one that ended by itself was not taken."""
        try:
            return self._is_killed(self._engine.inspect(ref))
        except NotFound:
            return True
        except GputuiError:
            return False
