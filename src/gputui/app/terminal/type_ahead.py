"""Type-ahead: keys that arrive faster than they are handled, as over a slow connection."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from textual.app import App
from textual.events import Event
from textual.worker import WorkerState

from gputui.app.terminal.textual_internals import is_layout_pending, is_mounted

IDLE_CHECKS = 4
"""Consecutive idle checks, one event-loop round apart, after which a key counts as handled: the result of a dialog
arrives, and a task starts, a round or two later without any message."""
QUICK_CHECKS = 50
PAUSE_S = 0.005
"""Pause between checks after the first `QUICK_CHECKS`."""
MAX_DELAY_S = 1.0
"""Maximum delay of a key, if the app never becomes idle."""


class TypeAhead:
    """Passes keys to an app one at a time, each after the effect of the previous one.

    Textual sends a key to the widget that has the focus when it arrives, and runs its action some messages later: if
    `/chat` arrives at once, all but the first key would go to the previously focused widget.
    """

    def __init__(self, app: App[None], forward: Callable[[Event], Awaitable[None]]) -> None:
        self._app = app
        self._forward = forward
        self._pending: deque[Event] = deque()
        self._checking = False
        self._checks = 0
        self._idle_checks = 0
        self._started_s = 0.0

    async def take(self, event: Event) -> None:
        """Pass the key on, now or when its turn comes."""
        self._pending.append(event)
        if not self._checking:
            await self._forward_next()

    async def _forward_next(self) -> None:
        self._checking, self._checks, self._idle_checks, self._started_s = True, 0, 0, time.monotonic()
        self._app.call_later(self._check)
        await self._forward(self._pending.popleft())

    async def _check(self) -> None:
        await asyncio.sleep(0)
        self._checks += 1
        self._idle_checks = self._idle_checks + 1 if self._is_idle() else 0
        if self._idle_checks < IDLE_CHECKS and time.monotonic() - self._started_s < MAX_DELAY_S:
            if self._checks < QUICK_CHECKS:
                self._app.call_later(self._check)
            else:
                self._app.set_timer(PAUSE_S, self._check)
        elif self._pending:
            await self._forward_next()
        else:
            self._checking = False

    def _is_idle(self) -> bool:
        """Whether no message, layout, mount or task is pending."""
        app = self._app
        if not app.screen_stack or app.message_queue_size or is_layout_pending(app.screen):
            return False
        if any(worker.state is WorkerState.PENDING for worker in app.workers):
            return False
        return all(
            is_mounted(node) and not node.message_queue_size for node in app.screen.walk_children(with_self=True)
        )
