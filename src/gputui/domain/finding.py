"""Findings, and the checks of the doctor command."""

from dataclasses import dataclass
from typing import Literal

from gputui.domain.service import Edit
from gputui.domain.text import with_fix

Severity = Literal["refusal", "error", "warning", "info"]

SEVERITIES: tuple[Severity, ...] = ("refusal", "error", "warning", "info")

MARKS = {"refusal": "✗", "error": "✗", "warning": "▲", "info": "·"}
"""The mark of each severity, in the TUI and on the command line."""

DIFFERS = "differs-from-file"
"""The code of findings about a container that differs from its Compose file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A problem, the service and GPU (UUID) that it concerns, and how to fix it.

    `edits` are the argument changes that would fix it, if there are any.

    Warnings do not block anything; errors block an apply unless it is forced; refusals cannot be forced.
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
        """The problem and its fix in one line."""
        return with_fix(self.text, self.fix)


CheckState = Literal["ok", "warning", "error", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check, its result, and how to fix a problem. `unknown`: it cannot be determined from here."""

    name: str
    state: CheckState
    text: str
    fix: str = ""
