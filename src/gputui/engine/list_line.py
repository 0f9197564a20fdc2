"""What a line of an engine's list of containers tells of whether the container is as it was."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gputui.domain.text import sequence

_UNITS_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800, "month": 2592000, "year": 31536000}
_AGE = re.compile(r"Less than a second|About an? (minute|hour)|([0-9]{1,9}) (second|minute|hour|day|week|month|year)s?")
"""How Docker and Podman write a duration (`HumanDuration` of docker/go-units)."""

YOUNG_S = 60
"""Of one that is younger a restart since the last look may not be seen by its age, nor after as long without a look."""


@dataclass(frozen=True, slots=True)
class ListLine:
    """State, names and status of a container, and for how long it has been so, in seconds; None where that is not
    told."""

    text: tuple[str, ...]
    age_s: int | None

    def is_older(self, previous: "ListLine") -> bool:
        """Whether nothing but time has passed since the other line."""
        if self == previous:
            return True
        if self.age_s is None or previous.age_s is None:
            return False
        return self.text == previous.text and self.age_s >= max(YOUNG_S, previous.age_s)


def list_line(line: Mapping[str, Any]) -> ListLine:
    """What `GET /containers/json` says of one container."""
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
