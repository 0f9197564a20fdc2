"""Looking after what was just made, while somebody else may be about to take it away.

`docker compose up` lists the containers of a service and then removes what it thinks is one too many. Where it lists
them while an apply has two of them, it may remove the new one after the old one is gone.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from gputui.containers.engine import Engine, Stream
from gputui.domain.container import Container
from gputui.domain.errors import GputuiError, NotFound
from gputui.domain.moments import moment

LOOK_S = 0.3
GUARD_S = 1.5
"""How long a container is looked after once the apply has ended."""
GUARD_LIMIT_S = 90.0
KILLED_LIMIT_S = 30.0
"""How long one that somebody is stopping may take for it."""
REVIVALS = 3
REPLACED_S = 3.0
"""How long one that is gone is waited for to be replaced by whoever took it away."""


def _started(container: Container) -> float:
    """When it was started, in seconds since 1970; 0 where that is not known."""
    return moment(container.started_at or "") or 0.0


class Guardian:
    """Notes which containers are being stopped, from `begin` on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._killed: dict[str, float] = {}
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
        for chunk in stream:
            for line in chunk.splitlines():
                with suppress(ValueError, AttributeError):
                    event = json.loads(line)
                    if event.get("Action") == "kill":
                        self._killed[str((event.get("Actor") or {}).get("ID"))] = float(event.get("time") or 0)

    def close(self) -> None:
        """Stop listening."""
        if self._stream is not None:
            self._stream.close()

    def is_well(self, ref: str) -> bool:
        """Whether the container is still there and runs, and nobody is stopping it; waits for what is being stopped.
        What the engine does not tell is taken for well."""
        until = time.monotonic() + KILLED_LIMIT_S
        while True:
            try:
                container = self._engine.inspect(ref)
            except NotFound:
                return False
            except GputuiError:
                return True
            if not container.running or container.state == "removing":
                return False
            killed = self._killed.get(ref)
            # One that was started since, as a daemon does that comes back, is not being stopped any more.
            if killed is None or _started(container) > killed or time.monotonic() > until:
                self._killed.pop(ref, None)
                return True
            time.sleep(LOOK_S)

    def _is_gone(self, ref: str) -> bool:
        try:
            self._engine.inspect(ref)
        except NotFound:
            return True
        except GputuiError:
            return False
        return False

    def guard(self, containers: Mapping[str, Callable[[], str]]) -> None:
        """Look after containers (by id) for a while; one that goes is brought back by its function, which returns the
        id of the one to look after from then on."""
        watched = dict(containers)
        gone: dict[str, float] = {}
        left = len(watched) * REVIVALS
        began = time.monotonic()
        until = began + GUARD_S
        while time.monotonic() < min(until, began + GUARD_LIMIT_S):
            for ref, bring_back in list(watched.items()):
                if self.is_well(ref) or (ref not in self._killed and not self._is_gone(ref)):
                    continue
                # Whoever took it away may be putting another one in its place.
                since = gone.setdefault(ref, time.monotonic())
                until = max(until, since + REPLACED_S + GUARD_S)
                if time.monotonic() - since >= REPLACED_S:
                    del watched[ref]
                    # One that is only stopped was stopped by somebody, and stays so.
                    if left > 0 and self._is_gone(ref):
                        left -= 1
                        with suppress(GputuiError):
                            watched[bring_back()] = bring_back
            time.sleep(LOOK_S)
