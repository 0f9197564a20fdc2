"""How long ago something was, in few letters; and moments in the time of the person who looks."""

from datetime import datetime

from gputui.domain.moments import moment

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def duration_text(seconds: float) -> str:
    """`3 d`, `5 h`, `12 min`, `40 s`."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def age_text(text: str, now: float) -> str:
    """How long ago this moment was; `–` where that is not known."""
    at = moment(text)
    return "–" if at is None else duration_text(now - at)


def clock_text(text: str | None) -> str:
    """The local time of day."""
    at = moment(text) if text else None
    return "--:--:--" if at is None else datetime.fromtimestamp(at).strftime("%H:%M:%S")


def date_text(text: str | None) -> str:
    """The local date and time of day."""
    at = moment(text) if text else None
    return text or "" if at is None else datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")
