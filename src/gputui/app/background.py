"""Blocking calls off the event loop, and the message with a new snapshot."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from textual.message import Message

from gputui.domain.snapshot import Snapshot

T = TypeVar("T")


async def in_thread(call: Callable[[], T]) -> T:
    """Run a blocking call in a daemon thread of its own.

    The default pool of the loop is small and is joined at exit: a call that hangs would hang the app.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if not future.done():
            future.set_exception(error) if error else future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = call()
        except BaseException as raised:  # raised in the waiting coroutine
            error = raised
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            return  # the app has ended

    threading.Thread(target=run, name="background", daemon=True).start()
    return await future


class SnapshotArrived(Message):
    """A new snapshot; replaces an older one that is still in the queue."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot

    def can_replace(self, message: Message) -> bool:
        """Only the newest snapshot counts."""
        return isinstance(message, SnapshotArrived)
