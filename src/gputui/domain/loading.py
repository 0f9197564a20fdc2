"""How far a service is that starts."""

from dataclasses import dataclass
from typing import Literal

Phase = Literal["downloading", "loading", "compiling", "capturing graphs", "ready"]


@dataclass(frozen=True, slots=True)
class Loading:
    """What its log tells: the phase, and how much of that is done, None where it does not tell."""

    phase: Phase
    percent: int | None = None

    @property
    def text(self) -> str:
        """`loading 62 %`."""
        return self.phase if self.percent is None else f"{self.phase} {self.percent} %"
