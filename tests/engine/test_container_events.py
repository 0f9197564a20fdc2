"""What engines tell of containers, and which of it stops one."""

import json
from typing import Any

import pytest

from gputui.domain.container import Container
from gputui.engine.container_events import ContainerEvent, events_in

CONTAINER = Container(id="1" * 64, name="svc", image="image:1")


def told(action: str, **more: Any) -> bytes:
    """As Docker 28 writes it."""
    actor = {"ID": CONTAINER.id, "Attributes": {"image": "image:1", "name": "svc", **more.pop("attributes", {})}}
    return json.dumps({"Type": "container", "Action": action, "Actor": actor, **more}).encode() + b"\n"


def kill(signal: int | None) -> ContainerEvent:
    return ContainerEvent(action="kill", container_id=CONTAINER.id, signal=signal, attributes={})


def test_an_event_says_what_when_and_of_which_container() -> None:
    (event,) = events_in([told("kill", time=1700000000, timeNano=1700000000250000000, attributes={"signal": "15"})])
    assert (event.action, event.container_id, event.signal) == ("kill", CONTAINER.id, 15)
    assert event.at == pytest.approx(1700000000.25, abs=1e-6)
    assert event.attributes["name"] == "svc"


def test_events_are_whole_however_they_were_cut() -> None:
    sent = told("create") + told("start")
    for cut in range(len(sent)):
        assert [event.action for event in events_in([sent[:cut], sent[cut:]])] == ["create", "start"]


@pytest.mark.parametrize("line", [b"\n", b"nonsense\n", b"[]\n", b'{"Actor": 3, "Action": []}\n', b"\xff\n", b"1\n"])
def test_what_is_no_event_is_passed_over(line: bytes) -> None:
    assert [event.action for event in events_in([line, told("die")])][-1] == "die"


@pytest.mark.parametrize(
    ("signal", "asked", "stops"),
    [
        (15, "", True), (9, "", True), (2, "", True), (None, "", True), (None, "SIGUSR1", True), (1, "", False),
        (10, "", False), (10, "SIGUSR1", True), (1, "SIGUSR1", False), (15, "USR1", True), (3, "SIGQUIT", True),
        (28, "28", True), (37, "SIGRTMIN+3", True),
    ],
)  # fmt: skip
def test_a_container_is_stopped_by_what_it_asks_for_and_by_what_ends_most(
    signal: int | None, asked: str, *, stops: bool
) -> None:
    container = Container(id="1" * 64, name="svc", image="image:1", stop_signal=asked)
    assert kill(signal).stops(container) == stops


def test_only_a_kill_stops() -> None:
    event = ContainerEvent(action="start", container_id=CONTAINER.id, attributes={})
    assert not event.stops(CONTAINER)
