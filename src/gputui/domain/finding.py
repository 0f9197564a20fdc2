"""Findings, and the checks of doctor."""

from dataclasses import dataclass
from typing import Literal

from gputui.domain.service import Edit
from gputui.domain.text import with_fix

Severity = Literal["refusal", "error", "warning", "info"]

SEVERITIES: tuple[Severity, ...] = ("refusal", "error", "warning", "info")

MARKS = {"refusal": "✗", "error": "✗", "warning": "▲", "info": "·"}
"""The sign of each, on the screen and on the command line."""

DIFFERS = "differs-from-file"
"""The code of what a Compose file says otherwise than a container is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was noticed, about which service and GPU (its UUID), and how to put it right.

    `edits` are the changed arguments that would put it right, if there are such.

    Warnings stop nothing; errors stop an apply unless it is forced; refusals cannot be forced.
    """

    code: str
    severity: Severity
    text: str
    fix: str = ""
    service: str | None = None
    gpu: str | None = None
    edits: tuple[Edit, ...] = ()

    @property
    def line(self) -> str:
        """What was noticed and how to put it right, in one line."""
        return with_fix(self.text, self.fix)


CheckState = Literal["ok", "warning", "error", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was looked at, how it stands, and how to put it right. `unknown`: it cannot be told from here."""

    name: str
    state: CheckState
    text: str
    fix: str = ""
