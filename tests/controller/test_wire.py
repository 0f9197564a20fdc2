"""What crosses the control controller's protocol survives the way through JSON, for screens in another process."""

import dataclasses
from typing import Any

import pytest

from gputui.controller.local_controller import LocalController
from gputui.domain.service import TypedEdit
from gputui.domain.snapshot import Snapshot
from gputui.domain.strategy import STRATEGIES
from gputui.domain.suggestion import Suggestion
from gputui.state.json_values import from_json, to_json
from tests.app.conftest import Opening, open_controller  # noqa: F401 - a fixture
from tests.builders import words


@pytest.fixture(params=["workstation", "h100-server", "mixed-server"])
def controller(open_controller: Opening, request: pytest.FixtureRequest) -> LocalController:  # noqa: F811
    opened = open_controller(request.param)
    service = opened.watch.snapshot().services[0]
    opened.draft.edit([service.key], TypedEdit(gpus="0", budget="1GiB"), adopt=True)
    opened.draft.set_arguments([service.key], [("--port", "9000")], adopt=True)
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


def test_snapshots_and_plans_survive_json(controller: LocalController) -> None:
    snapshot = controller.watch.snapshot()
    assert snapshot.draft.changed
    for value in (snapshot, controller.applies.plan(), controller.draft.save(words("test"))):
        assert from_json(type(value), to_json(value)) == value
        assert_frozen(value)


def test_suggestions_survive_json(controller: LocalController) -> None:
    for strategy in STRATEGIES:
        value = controller.draft.suggest(strategy, 100, adopt=True)
        assert from_json(Suggestion, to_json(value)) == value
        assert_frozen(value)


def test_applies_and_their_events_survive_json(controller: LocalController) -> None:
    controller.draft.save(words("test"))
    number = controller.applies.begin(controller.applies.plan(), words("test"))
    for value in (
        controller.history.record(number),
        *controller.history.events(number),
        *controller.history.applies(),
        *controller.history.revisions(),
    ):
        assert from_json(type(value), to_json(value)) == value
        assert_frozen(value)


def test_no_secret_travels_with_a_snapshot(open_controller: Opening) -> None:  # noqa: F811
    text = to_json(open_controller("workstation").watch.snapshot())
    assert "VRAM_BUDGET_GB=2.5" not in text, "of the environment only what names GPUs"
    assert isinstance(from_json(Snapshot, text), Snapshot)


def test_arguments_that_are_changed_together_are_taken_back_together(open_controller: Opening) -> None:  # noqa: F811
    opened = open_controller("h100-server")
    key = opened.watch.snapshot().services[0].key
    opened.draft.set_arguments([key], [("--port", "9000"), ("--max-model-len", "4096")], adopt=True)
    assert opened.draft.undo()
    assert not opened.watch.snapshot().draft.changed
