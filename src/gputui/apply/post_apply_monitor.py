"""Watches over new containers after an apply, while another tool may be about to remove them.

`docker compose up` lists the containers of a service and then removes those that it considers surplus. If it lists them
while an apply has two of them, it may remove the new one after the old one is gone; and if it then fails, it exits at
once and leaves the container that it was about to replace stopped.
"""

import threading
import time
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from typing import Literal

from gputui.domain import compose_labels
from gputui.domain.container import LABEL_APPLY, Container
from gputui.domain.errors import GputuiError, NotFound
from gputui.domain.text import moment
from gputui.engine.container_events import ContainerEvent, events_in
from gputui.engine.protocol import Engine, Stream

LOOK_S = 0.3
GUARD_S = 1.5
"""How long a container is watched after the apply has ended."""
GUARD_LIMIT_S = 90.0
"""The maximum, whatever others do: the next apply waits for it."""
STOP_TIMEOUT_S = 10
"""How long engines wait for a container without a stop timeout of its own, before they kill it."""
STOP_GRACE_S = 20.0
"""How much longer than its timeout a container that somebody is stopping is waited for."""
REVIVALS = 3
"""How often one container is brought back."""
REPLACED_S = 3.0
"""How long to wait for whoever removed a container to replace it."""
AT_WORK_S = 60.0
"""A container of the same project created within this time of a stop shows that `docker compose up` stopped it."""

Look = Literal["well", "being stopped", "stopped", "ended", "gone"]
"""The observed state of a container: `stopped` by somebody, or `ended` by itself."""


class PostApplyMonitor:
    """Notes what others do to containers, from `begin` on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kills: dict[str, list[tuple[ContainerEvent, float]]] = {}
        self._created: list[ContainerEvent] = []
        self._projects: dict[str, str] = {}
        self._stream: Stream | None = None

    def begin(self) -> None:
        """Begin to listen to the engine's events; without them a removal is only noticed afterwards."""
        # On a thread of its own: a hanging engine must not keep the apply from its own limits.
        threading.Thread(target=self._follow, name="post-apply-monitor", daemon=True).start()

    def _follow(self) -> None:
        try:
            stream = self._stream = self._engine.events()
        except GputuiError:
            return
        for event in events_in(stream):
            if event.action == "kill":
                self._kills.setdefault(event.container_id, []).append((event, time.monotonic()))
            if event.action == "create":
                self._projects[event.container_id] = event.attributes.get(compose_labels.PROJECT, "")
            # `docker compose run` replaces nothing.
            if event.action == "create" and event.attributes.get(compose_labels.ONE_OFF) != "True":
                self._created.append(event)

    def close(self) -> None:
        """Stop listening."""
        if self._stream is not None:
            self._stream.close()

    def is_well(self, ref: str) -> bool:
        """Whether the container exists and runs, and nobody is stopping it; waits while it is being stopped. If the
        engine does not answer, it counts as up."""
        while (look := self._look(ref)) == "being stopped":
            time.sleep(LOOK_S)
        return look == "well"

    def guard(self, containers: Mapping[str, Callable[[], str]]) -> None:
        """Watch containers (by id) for a while. One that is removed is brought back by its function, which returns the
        id of the container to watch from then on.

        One that somebody stops or removes after the apply has ended stays so, unless `docker compose up` was at work,
        which shows in a new container of the same project.
        """
        watched, ours = dict(containers), set(containers)
        revivals = dict.fromkeys(containers.values(), REVIVALS)
        # Whoever removed it before the apply had ended did not mean the container that the apply created.
        gone_before = {ref for ref in watched if self._look(ref) in ("being stopped", "stopped", "gone")}
        gone_since: dict[str, float] = {}
        began = time.monotonic()
        until, limit = began + GUARD_S, began + GUARD_LIMIT_S
        while watched and (current := time.monotonic()) < until:
            for ref, bring_back in list(watched.items()):
                look = self._look(ref)
                if look in ("well", "ended"):
                    gone_since.pop(ref, None)
                    continue
                if look == "being stopped":
                    until = min(max(until, current + GUARD_S), limit)
                    continue
                # Whoever removed it may be replacing it.
                since = gone_since.setdefault(ref, current)
                until = min(max(until, since + REPLACED_S + GUARD_S), limit)
                if current < min(since, limit - 2 * REPLACED_S) + REPLACED_S:
                    continue
                del watched[ref], gone_since[ref]
                if not revivals[bring_back]:
                    continue
                if ref in gone_before or self._is_replaced_by_compose(ref, ours):
                    revivals[bring_back] -= 1
                    gone_before.discard(ref)
                    with suppress(GputuiError):
                        back = bring_back()
                        watched[back] = bring_back
                        ours.add(back)
            time.sleep(LOOK_S)

    def _look(self, ref: str) -> Look:
        try:
            container = self._engine.inspect(ref)
        except NotFound:
            return "gone"
        except GputuiError:
            return "well"
        self._projects[ref] = container.labels.get(compose_labels.PROJECT, "")
        kill = self._kill_of(container)
        if not container.running:
            return "stopped" if kill else "ended"
        own_timeout_s = container.stop_timeout_s
        patience_s = (STOP_TIMEOUT_S if own_timeout_s is None else own_timeout_s) + STOP_GRACE_S
        return "being stopped" if kill and time.monotonic() - kill[1] <= patience_s else "well"

    def _kill_of(self, container: Container) -> tuple[ContainerEvent, float] | None:
        """The kill event since its last start, and when it was received: a restarted daemon starts again what it
        stopped."""
        started = moment(container.started_at or "") or 0.0
        kills = self._kills.get(container.id, ())
        return next((kill for kill in kills if kill[0].at >= started and kill[0].stops(container)), None)

    def _is_replaced_by_compose(self, ref: str, ours: Set[str]) -> bool:
        """Whether a container of its project was created about when it was stopped, as `docker compose up` does."""
        project, kills = self._projects.get(ref), self._kills.get(ref)
        return bool(project and kills) and any(
            event.attributes.get(compose_labels.PROJECT) == project
            and event.container_id not in ours
            and LABEL_APPLY not in event.attributes
            and abs(event.at - kill.at) <= AT_WORK_S
            for event in list(self._created)
            for kill, _ in list(kills or ())
        )
