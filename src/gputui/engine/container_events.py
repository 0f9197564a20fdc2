"""The container events of an engine (`GET /events`)."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from signal import SIGINT, SIGKILL, SIGQUIT, SIGTERM, Signals

from gputui.domain.container import Container
from gputui.domain.text import real_number, whole_number


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerEvent:
    """A container event. `at` is the engine's time in seconds since 1970, `signal` the signal that was sent, if
    reported; `attributes` are the container's labels and the details of the action."""

    action: str
    container_id: str
    at: float = 0.0
    signal: int | None = None
    attributes: Mapping[str, str]

    def stops(self, container: Container) -> bool:
        """Whether this is a signal that stops the container: its own stop signal, or a common terminating one."""
        stop_signal = signal_number(container.stop_signal)
        if self.signal is None or (container.stop_signal and stop_signal is None):  # such as SIGRTMIN+3
            return self.action == "kill"
        return self.action == "kill" and self.signal in (stop_signal, SIGKILL, SIGTERM, SIGINT, SIGQUIT)


def signal_number(name: str) -> int | None:
    """The number of a signal as engines write it (`15`, `TERM`, `SIGTERM`); None if it is not a signal."""
    number = whole_number(name, least=0, most=1000)
    if number is not None:
        return number
    try:
        return Signals[name if name.startswith("SIG") else f"SIG{name}"]
    except KeyError:
        return None


def events_in(chunks: Iterable[bytes]) -> Iterator[ContainerEvent]:
    """The events of a stream with one JSON object per line, chunked arbitrarily; invalid lines are skipped."""
    remainder = b""
    for chunk in chunks:
        *lines, remainder = (remainder + chunk).split(b"\n")
        for line in lines:
            with suppress(ValueError, TypeError, AttributeError, RecursionError):
                yield _event(json.loads(line))


def _event(data: Mapping[str, object]) -> ContainerEvent:
    actor = data["Actor"] if isinstance(data.get("Actor"), dict) else {}
    assert isinstance(actor, dict)
    attributes = {str(key): str(value) for key, value in (actor.get("Attributes") or {}).items()}
    nanoseconds, seconds = whole_number(data.get("timeNano")), real_number(data.get("time"))
    timestamp = nanoseconds / 10**9 if nanoseconds else seconds or 0.0
    return ContainerEvent(
        action=str(data.get("Action") or ""),
        container_id=str(actor.get("ID") or ""),
        at=timestamp,
        signal=signal_number(attributes.get("signal", "")),
        attributes=attributes,
    )
