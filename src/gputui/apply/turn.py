"""Turns: how many units of an apply may be between their old and their new containers at once."""

import threading


class Turn:
    """One of the turns that there are; taken by `with`, and given back at its end or before, whichever comes first."""

    def __init__(self, turns: threading.Semaphore) -> None:
        self._turns = turns
        self._lock = threading.Lock()
        self._is_taken = False

    def __enter__(self) -> "Turn":
        self._turns.acquire()
        self._is_taken = True
        return self

    def give_back(self) -> None:
        """Let another unit have it; a second time does nothing."""
        with self._lock:
            was_taken, self._is_taken = self._is_taken, False
        if was_taken:
            self._turns.release()

    def __exit__(self, *_: object) -> None:
        self.give_back()
