"""Type-ahead: keys that arrive faster than they are handled, as over a slow connection."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from textual.app import App
from textual.events import Event
from textual.worker import WorkerState

from gputui.app.terminal.textual_internals import is_layout_pending, is_mounted

QUIET_LOOKS = 4
"""Consecutive idle checks, one event-loop round apart, after which a key counts as handled: the result of a dialog
arrives, and a task starts, a round or two later without any message."""
QUICK_LOOKS = 50
PAUSE_S = 0.005
"""Pause between checks after the first `QUICK_LOOKS`."""
LONGEST_S = 1.0
"""Maximum delay of a key, if the app never becomes idle."""


class TypeAhead:
    """Passes keys to an app one at a time, each after the effect of the previous one.

    Textual sends a key to the widget that has the focus when it arrives, and runs its action some messages later: if
    `/chat` arrives at once, all but the first key would go to the previously focused widget.
    """

    def __init__(self, app: App[None], hand_on: Callable[[Event], Awaitable[None]]) -> None:
        self._app = app
        self._hand_on = hand_on
        self._held: deque[Event] = deque()
        self._looking = False
        self._looks = 0
        self._quiet = 0
        self._since = 0.0

    async def take(self, event: Event) -> None:
        """Pass the key on, now or when its turn comes."""
        self._held.append(event)
        if not self._looking:
            await self._hand_on_next()

    async def _hand_on_next(self) -> None:
        self._looking, self._looks, self._quiet, self._since = True, 0, 0, time.monotonic()
        self._app.call_later(self._look)
        await self._hand_on(self._held.popleft())

    async def _look(self) -> None:
        await asyncio.sleep(0)
        self._looks += 1
        self._quiet = self._quiet + 1 if self._is_at_rest() else 0
        if self._quiet < QUIET_LOOKS and time.monotonic() - self._since < LONGEST_S:
            if self._looks < QUICK_LOOKS:
                self._app.call_later(self._look)
            else:
                self._app.set_timer(PAUSE_S, self._look)
        elif self._held:
            await self._hand_on_next()
        else:
            self._looking = False

    def _is_at_rest(self) -> bool:
        """Whether no message, layout, mount or task is pending."""
        app = self._app
        if not app.screen_stack or app.message_queue_size or is_layout_pending(app.screen):
            return False
        if any(worker.state is WorkerState.PENDING for worker in app.workers):
            return False
        return all(
            is_mounted(node) and not node.message_queue_size for node in app.screen.walk_children(with_self=True)
        )
