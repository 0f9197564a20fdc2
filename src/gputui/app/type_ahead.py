"""Keys that come faster than the screen: a slow line brings several in one piece."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from textual.app import App
from textual.events import Event
from textual.worker import WorkerState

QUIET_ROUNDS = 4
"""Rounds of the event loop in which nothing waits, until what a key asked for is there: what a dialog answers, and a
task that begins, take one or two without any message."""
LONGEST_S = 1.0
"""How long a key is held back at most, where something else never rests."""


class TypeAhead:
    """Hands keys on to an app one by one, each when what the key before it asked for is there.

    Textual gives a key to the widget that has the focus when the key arrives, and carries out what it means some
    messages later: of `/chat` in one piece all but the first would go to what had the focus before.
    """

    def __init__(self, app: App[None], hand_on: Callable[[Event], Awaitable[None]]) -> None:
        self._app = app
        self._hand_on = hand_on
        self._held: deque[Event] = deque()
        self._quiet = 0
        self._since = 0.0

    async def take(self, event: Event) -> None:
        """Hand it on, now or when its turn comes."""
        if self._held:
            self._held.append(event)
        elif self._is_at_rest():
            await self._hand_on(event)
        else:
            self._held.append(event)
            self._begin()

    def _begin(self) -> None:
        self._quiet, self._since = 0, time.monotonic()
        self._app.call_later(self._look)

    async def _look(self) -> None:
        await asyncio.sleep(0)
        self._quiet = self._quiet + 1 if self._is_at_rest() else 0
        if self._quiet < QUIET_ROUNDS and time.monotonic() - self._since < LONGEST_S:
            self._app.call_later(self._look)
            return
        await self._hand_on(self._held.popleft())
        if self._held:
            self._begin()

    def _is_at_rest(self) -> bool:
        """Whether no message waits, nothing on the screen is half there, and no task has still to begin."""
        app = self._app
        if not app.screen_stack or app.message_queue_size or app.screen._layout_required:
            return False
        if any(worker.state is WorkerState.PENDING for worker in app.workers):
            return False
        return all(
            node._is_mounted and not node.message_queue_size for node in app.screen.walk_children(with_self=True)
        )
