"""How much history is kept, and what was removed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """The maximum number of applies (each with its events), of revisions, and of logs of replaced containers, and their
    maximum age in `days`. What is still needed, and the newest `always` entries, are kept in any case."""

    applies: int = 500
    revisions: int = 500
    logs: int = 200
    days: float = 365
    always: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What was removed, or would be; `size` is the size of the state in bytes before and after."""

    applies: int = 0
    revisions: int = 0
    logs: int = 0
    size: tuple[int, int] = (0, 0)

    @property
    def anything(self) -> bool:
        """Whether there is anything to remove."""
        return bool(self.applies or self.revisions or self.logs)
