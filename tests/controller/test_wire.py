"""What crosses the control room's protocol survives the way through JSON, for screens in another process."""

import dataclasses
from typing import Any

import pytest

from gputui.controller.local_controller import LocalControlRoom
from gputui.domain.service import TypedEdit
from gputui.domain.snapshot import Snapshot
from gputui.domain.strategy import STRATEGIES
from gputui.domain.suggestion import Suggestion
from gputui.state.json_values import from_json, to_json
from tests.app.conftest import Opening, open_room  # noqa: F401 - a fixture


@pytest.fixture(params=["workstation", "h100-server", "mixed-server"])
def room(open_room: Opening, request: pytest.FixtureRequest) -> LocalControlRoom:  # noqa: F811
    opened = open_room(request.param)
    service = opened.snapshot().services[0]
    opened.edit([service.key], TypedEdit(gpus="0", budget="1GiB"), adopt=True)
    opened.set_arguments([service.key], [("--port", "9000")], adopt=True)
    return opened


def assert_frozen(value: Any) -> None:
    if dataclasses.is_dataclass(value):
        kind: Any = type(value)
        assert kind.__dataclass_params__.frozen, kind
        for field in dataclasses.fields(value):
            assert_frozen(getattr(value, field.name))
    assert not isinstance(value, list), "a tuple cannot be changed by who receives it"
    if isinstance(value, tuple):
        for inner in value:
            assert_frozen(inner)


def test_snapshots_and_plans_survive_json(room: LocalControlRoom) -> None:
    snapshot = room.snapshot()
    assert snapshot.draft.changed
    for value in (snapshot, room.plan(), room.save("test")):
        assert from_json(type(value), to_json(value)) == value
        assert_frozen(value)


def test_suggestions_survive_json(room: LocalControlRoom) -> None:
    for strategy in STRATEGIES:
        value = room.suggest(strategy, 100, adopt=True)
        assert from_json(Suggestion, to_json(value)) == value
        assert_frozen(value)


def test_applies_and_their_events_survive_json(room: LocalControlRoom) -> None:
    room.save("test")
    number = room.apply(room.plan(), "test")
    for value in (room.record(number), *room.events(number), *room.applies(), *room.revisions()):
        assert from_json(type(value), to_json(value)) == value
        assert_frozen(value)


def test_no_secret_travels_with_a_snapshot(open_room: Opening) -> None:  # noqa: F811
    text = to_json(open_room("workstation").snapshot())
    assert "VRAM_BUDGET_GB=2.5" not in text, "of the environment only what names GPUs"
    assert isinstance(from_json(Snapshot, text), Snapshot)


def test_arguments_that_are_changed_together_are_taken_back_together(open_room: Opening) -> None:  # noqa: F811
    opened = open_room("h100-server")
    key = opened.snapshot().services[0].key
    opened.set_arguments([key], [("--port", "9000"), ("--max-model-len", "4096")], adopt=True)
    assert opened.undo()
    assert not opened.snapshot().draft.changed
