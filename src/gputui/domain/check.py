"""One thing that doctor looked at."""

from dataclasses import dataclass
from typing import Literal

CheckState = Literal["ok", "warning", "error", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was looked at, how it stands, and how to put it right. `unknown`: it cannot be told from here."""

    name: str
    state: CheckState
    text: str
    fix: str = ""
