"""What was just made is looked after while somebody else's `docker compose up` may be about to take it away."""

import threading
from collections.abc import Callable, Iterator

import pytest

from gputui.apply import guardian
from gputui.apply.guardian import Guardian
from gputui.apply.operations import put_in_place
from gputui.containers.simulated_engine import SimulatedEngine, SimulatedStream
from gputui.domain.container import LABEL_APPLY, ContainerSpec
from gputui.domain.errors import EngineError
from gputui.domain.scenario import Scenario

OF_COMPOSE = {"com.docker.compose.project": "stack", "com.docker.compose.service": "svc"}
SPEC = ContainerSpec(
    name="stack-svc-1", body={"Image": "image:1", "Labels": {**OF_COMPOSE, LABEL_APPLY: "token"}, "HostConfig": {}}
)
REPLACEMENT = ContainerSpec(
    name="2f8ea078039b_stack-svc-1", body={"Image": "image:1", "Labels": OF_COMPOSE, "HostConfig": {}}
)


class HeardEngine(SimulatedEngine):
    """One that can wait until whoever follows its events has taken note of all of them."""

    def __init__(self) -> None:
        super().__init__(Scenario(name="s", title="s", host="host", driver_version="1", gpus=(), containers=()))
        self._listens = threading.Event()
        self._heard = threading.Condition()
        self._told = self._noted = 0

    def events(self) -> SimulatedStream:
        stream = super().events()
        self._listens.set()

        def chunks(_closed: threading.Event) -> Iterator[bytes]:
            for chunk in stream:
                yield chunk
                with self._heard:
                    self._noted += 1
                    self._heard.notify_all()

        return SimulatedStream(chunks)

    def signal(self, ref: str, number: int) -> None:
        """A signal that it does not heed, or not yet."""
        self._note(self._find(ref), "kill", signal=str(number))

    def others_do(self, *acts: Callable[[], object]) -> None:
        """Somebody else does these things; each makes a known number of events, which are waited for."""
        before = len(self._events)
        for act in acts:
            act()
        with self._heard:
            self._told += len(self._events) - before
            assert self._heard.wait_for(lambda: self._noted >= self._told, 10)

    def heard_by(self, *then: Callable[[], object]) -> Guardian:
        """A guardian that listens from now on, and that finds all well at its first look; others do this `then`."""
        listener = _Interrupted(self, then)
        listener.begin()
        assert self._listens.wait(10)
        return listener


class _Interrupted(Guardian):
    def __init__(self, engine: HeardEngine, then: tuple[Callable[[], object], ...]) -> None:
        super().__init__(engine)
        self._heard_engine, self._then = engine, then

    def is_well(self, ref: str) -> bool:
        well = super().is_well(ref)
        then, self._then = self._then, ()
        self._heard_engine.others_do(*then)
        return well


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guardian, "LOOK_S", 0.001)
    monkeypatch.setattr(guardian, "GUARD_S", 0.05)
    monkeypatch.setattr(guardian, "REPLACED_S", 0.02)
    monkeypatch.setattr(guardian, "STOP_GRACE_S", -10.0)


@pytest.fixture
def engine() -> HeardEngine:
    return HeardEngine()


def made(engine: SimulatedEngine) -> str:
    ref = engine.create(SPEC)
    engine.start(ref)
    return ref


def guard(engine: SimulatedEngine, ref: str, by: Guardian | None = None) -> None:
    (by or Guardian(engine)).guard({ref: lambda: put_in_place(engine, SPEC, ref)})


def names(engine: SimulatedEngine) -> dict[str, bool]:
    return {one.name: one.running for one in engine.containers()}


def test_where_all_is_well_it_ends(engine: HeardEngine) -> None:
    ref = made(engine)
    guard(engine, ref)
    assert engine.inspect(SPEC.name).id == ref


def test_one_that_is_taken_away_is_made_again(engine: HeardEngine) -> None:
    ref = made(engine)
    engine.remove(ref)
    guard(engine, ref)
    assert names(engine) == {SPEC.name: True}


def test_one_that_was_replaced_is_let_go(engine: HeardEngine) -> None:
    ref = made(engine)
    engine.remove(ref)
    other = made(engine)
    guard(engine, ref)
    assert engine.inspect(SPEC.name).id == other
    assert names(engine) == {SPEC.name: True}


def test_one_that_somebody_stops_after_the_end_stays_so(engine: HeardEngine) -> None:
    ref = made(engine)
    guard(engine, ref, engine.heard_by(lambda: engine.stop(ref, 1)))
    assert names(engine) == {SPEC.name: False}


def test_one_that_was_stopped_before_the_end_runs_again(engine: HeardEngine) -> None:
    ref, by = made(engine), engine.heard_by()
    engine.others_do(lambda: engine.stop(ref, 1))
    guard(engine, ref, by)
    assert names(engine) == {SPEC.name: True}


def test_one_that_compose_stopped_and_did_not_replace_runs_again(engine: HeardEngine) -> None:
    ref = made(engine)
    guard(engine, ref, engine.heard_by(lambda: engine.create(REPLACEMENT), lambda: engine.stop(ref, 1)))
    assert names(engine) == {SPEC.name: True, REPLACEMENT.name: False}


@pytest.mark.parametrize("labels", [{"com.docker.compose.project": "other"}, {**OF_COMPOSE, guardian.ONE_OFF: "True"}])
def test_what_else_is_made_brings_nothing_back(engine: HeardEngine, labels: dict[str, str]) -> None:
    ref = made(engine)
    other = ContainerSpec(name="other", body={"Image": "image:1", "Labels": labels, "HostConfig": {}})
    guard(engine, ref, engine.heard_by(lambda: engine.create(other), lambda: engine.stop(ref, 1)))
    assert names(engine) == {SPEC.name: False, "other": False}


def test_one_that_ended_by_itself_is_left_as_it_is(engine: HeardEngine) -> None:
    ref = made(engine)
    engine.stop(ref, 1)  # nobody who listened saw it being stopped
    guard(engine, ref, engine.heard_by())
    assert names(engine) == {SPEC.name: False}


def test_it_is_not_brought_back_for_ever(engine: HeardEngine) -> None:
    ref = made(engine)
    brought: list[str] = []

    def bring_back() -> str:
        brought.append(put_in_place(engine, SPEC, None))
        engine.remove(brought[-1])
        return brought[-1]

    engine.remove(ref)
    Guardian(engine).guard({ref: bring_back})
    assert len(brought) == guardian.REVIVALS


def test_one_that_is_being_stopped_is_waited_for(engine: HeardEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    ref, by = made(engine), engine.heard_by()
    monkeypatch.setattr(guardian, "STOP_GRACE_S", 60.0)
    monkeypatch.setattr("gputui.apply.guardian.time.sleep", lambda _: engine.stop(ref, 1))
    engine.others_do(lambda: engine.signal(ref, 15))
    assert not by.is_well(ref)


def test_one_that_heeds_no_signal_is_not_waited_for_for_ever(engine: HeardEngine) -> None:
    ref, by = made(engine), engine.heard_by()
    engine.others_do(lambda: engine.signal(ref, 15))
    assert by.is_well(ref)


@pytest.mark.parametrize("after", ["started since", "a signal that stops nothing"])
def test_one_that_nobody_is_stopping_is_not_waited_for(
    engine: HeardEngine, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref, by = made(engine), engine.heard_by()

    def waits(_seconds: float) -> None:
        raise AssertionError("it waits")

    if after == "started since":
        engine.others_do(lambda: engine.stop(ref, 1), lambda: engine.start(ref))
    else:
        engine.others_do(lambda: engine.signal(ref, 1))
    monkeypatch.setattr("gputui.apply.guardian.time.sleep", waits)
    assert by.is_well(ref)


def test_one_that_cannot_be_made_again_leaves_nothing_behind(
    engine: HeardEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_ref: str) -> None:
        raise EngineError("start: network stack_default not found")

    monkeypatch.setattr(engine, "start", refused)
    with pytest.raises(EngineError, match="network stack_default not found"):
        put_in_place(engine, SPEC, None)
    assert names(engine) == {}


def test_one_that_an_old_compose_renamed_gets_its_name_back(engine: HeardEngine) -> None:
    ref = made(engine)
    engine.rename(ref, "2f8ea078039b_stack-svc-1")
    assert put_in_place(engine, SPEC, ref) == ref
    assert names(engine) == {SPEC.name: True}
