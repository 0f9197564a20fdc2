"""A defect in what watches is shown and survived: on the screen's controller and by a verb that watches."""

import argparse
import json
import time
from collections.abc import Callable

import pytest

from gputui.cli.verbs.gpus import GPUS
from gputui.controller.local_controller import LocalController
from gputui.domain.container import Container
from gputui.simulated.simulated_engine import SimulatedEngine
from tests.app.conftest import Opening, open_controller  # noqa: F401 - a fixture


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The engine's list of containers has a defect, until it is mended."""
    real: Callable[[SimulatedEngine], tuple[Container, ...]] = SimulatedEngine.containers

    def fails(_self: SimulatedEngine) -> tuple[Container, ...]:
        raise KeyError("a defect")

    monkeypatch.setattr(SimulatedEngine, "containers", fails)
    return lambda: monkeypatch.setattr(SimulatedEngine, "containers", real)


def test_what_cannot_be_watched_is_told_and_comes_back(
    open_controller: Opening,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    controller: LocalController = open_controller("workstation")
    before = controller.watch.snapshot()
    assert before.services
    mend = broken(monkeypatch)
    controller.watch.rescan()
    wait_for(lambda: bool(controller.watch.snapshot().watch_faults))
    during = controller.watch.snapshot()
    assert [one.name for one in during.services] == [one.name for one in before.services], "as they were last seen"
    assert any("KeyError" in note.text for note in during.notes)
    mend()
    wait_for(lambda: not controller.watch.snapshot().watch_faults)
    assert controller.watch.snapshot().engine.info is not None


def test_a_verb_that_watches_goes_on_after_a_look_that_failed(
    open_controller: Opening,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    controller: LocalController = open_controller("workstation")
    looks = iter([None, ZeroDivisionError("a defect"), None])
    real = controller.watch.wait

    def look(limit_s: float, *, engine: bool = True) -> object:
        error = next(looks, KeyboardInterrupt())
        if error is not None:
            raise error
        return real(limit_s, engine=engine)

    monkeypatch.setattr(controller.watch, "wait", look)
    monkeypatch.setattr("gputui.cli.looking.time.sleep", lambda _seconds: None)
    with pytest.raises(KeyboardInterrupt):
        GPUS.run(controller, argparse.Namespace(json=True, watch=True, interval=1))
    told = capsys.readouterr()
    assert [json.loads(line)["schema_version"] for line in told.out.splitlines()] == [1, 1]
    assert told.err.startswith("gputui: ZeroDivisionError")
    assert told.err.endswith("it is tried again\n")
