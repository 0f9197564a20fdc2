"""Detects from an engine's container list whether a container has changed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gputui.domain.text import sequence

_UNITS_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800, "month": 2592000, "year": 31536000}
_AGE = re.compile(r"Less than a second|About an? (minute|hour)|([0-9]{1,9}) (second|minute|hour|day|week|month|year)s?")
"""How Docker and Podman format a duration (`HumanDuration` of docker/go-units)."""

YOUNG_S = 60
"""For a younger container, or after as long without a look, its age may not reveal a restart since the last look."""


@dataclass(frozen=True, slots=True)
class ListLine:
    """The state, status and names of a container, and the age of that state in seconds; None if not reported."""

    text: tuple[str, ...]
    age_s: int | None

    def is_older(self, previous: "ListLine") -> bool:
        """Whether only time has passed since the previous line."""
        if self == previous:
            return True
        if self.age_s is None or previous.age_s is None:
            return False
        return self.text == previous.text and self.age_s >= max(YOUNG_S, previous.age_s)


def list_line(line: Mapping[str, Any]) -> ListLine:
    """The entry of one container in `GET /containers/json`."""
    status = str(line.get("Status") or "")
    age = _AGE.search(status)
    text = status if age is None else status[: age.start()] + status[age.end() :]
    return ListLine(
        (str(line.get("State") or ""), text, *(str(name) for name in sequence(line.get("Names")))), _seconds(age)
    )


def _seconds(age: "re.Match[str] | None") -> int | None:
    if age is None:
        return None
    about, number, unit = age.groups()
    return int(number) * _UNITS_S[unit] if number else _UNITS_S.get(about or "", 0)
