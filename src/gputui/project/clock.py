"""The time as it is written down."""

from datetime import UTC, datetime

from gputui.domain.moments import moment


def now() -> str:
    """The time in UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_since(written: str) -> float:
    """How long ago a time was that `now()` wrote; for ever, where it is none."""
    then = moment(written)
    return float("inf") if then is None else datetime.now(UTC).timestamp() - then
