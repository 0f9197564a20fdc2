"""What was just made is looked after while somebody else's `docker compose up` may be about to take it away."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pytest

from gputui.apply import post_apply_monitor as guardian
from gputui.apply.operations.stop import in_place, start_in_place
from gputui.apply.post_apply_monitor import PostApplyMonitor
from gputui.domain import compose_labels
from gputui.domain.container import LABEL_APPLY, Container, ContainerSpec
from gputui.domain.errors import EngineError, Unreachable
from gputui.simulated.scenario import Scenario
from gputui.simulated.simulated_engine import SimulatedEngine, SimulatedStream

OF_COMPOSE = {compose_labels.PROJECT: "stack", compose_labels.SERVICE: "svc"}
SPEC = ContainerSpec(
    name="stack-svc-1", body={"Image": "image:1", "Labels": {**OF_COMPOSE, LABEL_APPLY: "token"}, "HostConfig": {}}
)
CONNECTED = replace(SPEC, networks={"stack_default": {}})
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
        self._then: tuple[Callable[[], object], ...] = ()
        self._seen = False

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

    def heard_by(self, *acts: Callable[[], object]) -> PostApplyMonitor:
        """A guardian that listens from now on; others do this once it has seen that the last container runs."""
        listener = PostApplyMonitor(self)
        listener.begin()
        assert self._listens.wait(10)
        self.then(*acts)
        return listener

    def then(self, *acts: Callable[[], object]) -> None:
        """What others do once the last container was seen to run."""
        self._then, self._seen = acts, False

    def inspect(self, ref: str) -> Container:
        is_last = super().inspect(ref).id == list(self._containers)[-1]
        if is_last and self._seen:
            acts, self._then = self._then, ()
            self.others_do(*acts)
        found = super().inspect(ref)
        self._seen = self._seen or (is_last and found.running)
        return found


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guardian, "LOOK_S", 0.001)
    monkeypatch.setattr(guardian, "GUARD_S", 0.2)
    monkeypatch.setattr(guardian, "REPLACED_S", 0.02)
    monkeypatch.setattr(guardian, "STOP_GRACE_S", -10.0)


@pytest.fixture
def engine() -> HeardEngine:
    return HeardEngine()


def made(engine: SimulatedEngine) -> str:
    ref = engine.create(SPEC)
    engine.start(ref)
    return ref


def brought_back(engine: SimulatedEngine, ref: str | None, spec: ContainerSpec = SPEC) -> str:
    found = in_place(engine, spec, ref)
    start_in_place(engine, found, spec.name)
    return found


def guard(engine: SimulatedEngine, ref: str, by: PostApplyMonitor | None = None) -> None:
    (by or PostApplyMonitor(engine)).guard({ref: lambda: brought_back(engine, ref)})


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


@pytest.mark.parametrize(
    "labels",
    [
        {compose_labels.PROJECT: "other"},
        {**OF_COMPOSE, compose_labels.ONE_OFF: "True"},
        {**OF_COMPOSE, LABEL_APPLY: "token"},
    ],
)
def test_what_else_is_made_brings_nothing_back(engine: HeardEngine, labels: dict[str, str]) -> None:
    ref = made(engine)
    other = ContainerSpec(name="other", body={"Image": "image:1", "Labels": labels, "HostConfig": {}})
    guard(engine, ref, engine.heard_by(lambda: engine.create(other), lambda: engine.stop(ref, 1)))
    assert names(engine) == {SPEC.name: False, "other": False}


def test_one_that_is_stopped_again_after_it_was_brought_back_stays_so(engine: HeardEngine) -> None:
    ref, by = made(engine), engine.heard_by()
    engine.others_do(lambda: engine.stop(ref, 1))
    brought: list[str] = []

    def bring_back() -> str:
        engine.others_do(lambda: brought.append(brought_back(engine, ref)))
        engine.then(lambda: engine.stop(ref, 1))
        return ref

    by.guard({ref: bring_back})
    assert brought == [ref]
    assert names(engine) == {SPEC.name: False}


def test_another_one_that_is_stopped_while_one_is_waited_for_stays_so(
    engine: HeardEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guardian, "STOP_GRACE_S", 0.3 - guardian.STOP_TIMEOUT_S)
    slow = engine.create(replace(SPEC, name="stack-slow-1"))
    engine.start(slow)
    ref = made(engine)
    by = engine.heard_by()
    engine.others_do(lambda: engine.signal(slow, 15))
    engine.then(lambda: engine.stop(ref, 1))
    by.guard({slow: lambda: brought_back(engine, slow), ref: lambda: brought_back(engine, ref)})
    assert names(engine) == {"stack-slow-1": True, SPEC.name: False}


def test_what_the_apply_made_itself_tells_nothing_of_compose(engine: HeardEngine) -> None:
    by = engine.heard_by()
    made_again: list[str] = []
    # As it was made anew from the spec of a container that Compose had made.
    spec = replace(SPEC, body={**SPEC.body, "Labels": OF_COMPOSE})
    engine.others_do(lambda: made_again.append(brought_back(engine, None, spec)))
    (ref,) = made_again
    engine.then(lambda: engine.stop(ref, 1))
    guard(engine, ref, by)
    assert names(engine) == {SPEC.name: False}


def test_a_compose_up_of_long_ago_brings_nothing_back(engine: HeardEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guardian, "AT_WORK_S", 0.0)
    by = engine.heard_by()
    engine.others_do(lambda: engine.create(REPLACEMENT))
    ref = made(engine)
    engine.then(lambda: engine.stop(ref, 1))
    guard(engine, ref, by)
    assert names(engine) == {SPEC.name: False, REPLACEMENT.name: False}


def test_one_that_ended_by_itself_is_left_as_it_is(engine: HeardEngine) -> None:
    ref = made(engine)
    engine.stop(ref, 1)  # nobody who listened saw it being stopped
    guard(engine, ref, engine.heard_by())
    assert names(engine) == {SPEC.name: False}


def test_one_that_somebody_removes_after_the_end_stays_so(engine: HeardEngine) -> None:
    ref = made(engine)
    guard(engine, ref, engine.heard_by(lambda: engine.stop(ref, 1), lambda: engine.remove(ref)))
    assert names(engine) == {}


def test_one_that_compose_removed_and_did_not_replace_is_made_again(engine: HeardEngine) -> None:
    ref = made(engine)
    compose = (lambda: engine.create(REPLACEMENT), lambda: engine.stop(ref, 1), lambda: engine.remove(ref))
    guard(engine, ref, engine.heard_by(*compose))
    assert names(engine) == {SPEC.name: True, REPLACEMENT.name: False}


def test_it_is_not_brought_back_for_ever(engine: HeardEngine) -> None:
    ref, by = made(engine), engine.heard_by()
    brought: list[str] = []

    def bring_back() -> str:
        engine.others_do(lambda: brought.append(brought_back(engine, None)))
        takes_away(brought[-1])
        return brought[-1]

    def takes_away(taken: str) -> None:
        engine.others_do(lambda: engine.stop(taken, 1), lambda: engine.remove(taken))

    engine.others_do(lambda: engine.create(REPLACEMENT))
    takes_away(ref)
    by.guard({ref: bring_back})
    assert len(brought) == guardian.REVIVALS


def test_one_that_is_being_stopped_is_waited_for(engine: HeardEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    ref, by = made(engine), engine.heard_by()
    monkeypatch.setattr(guardian, "STOP_GRACE_S", 60.0)
    monkeypatch.setattr("gputui.apply.post_apply_monitor.time.sleep", lambda _: engine.stop(ref, 1))
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
    monkeypatch.setattr("gputui.apply.post_apply_monitor.time.sleep", waits)
    assert by.is_well(ref)


def test_one_that_cannot_be_made_again_leaves_nothing_behind(
    engine: HeardEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_ref: str, _network: str, _endpoint: object) -> None:
        raise EngineError("connect: network stack_default not found")

    monkeypatch.setattr(engine, "connect", refused)
    with pytest.raises(EngineError, match="network stack_default not found"):
        brought_back(engine, None, CONNECTED)
    assert names(engine) == {}


def test_one_that_only_does_not_start_is_there_to_be_started(
    engine: HeardEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_ref: str) -> None:
        raise EngineError("start: port is already allocated")

    monkeypatch.setattr(engine, "start", refused)
    with pytest.raises(EngineError, match="port is already allocated"):
        brought_back(engine, None)
    assert names(engine) == {SPEC.name: False}


def test_one_whose_making_was_cut_off_has_its_networks(engine: HeardEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    real, cuts = engine.connect, [True]

    def cut_once(ref: str, network: str, endpoint: Mapping[str, object]) -> None:
        if cuts:
            cuts.pop()
            raise Unreachable("cut")
        real(ref, network, endpoint)

    monkeypatch.setattr(engine, "connect", cut_once)
    with pytest.raises(Unreachable):
        brought_back(engine, None, CONNECTED)
    ref = brought_back(engine, None, CONNECTED)
    assert engine.networks_of(ref) == {"stack_default"}
    assert names(engine) == {SPEC.name: True}


def test_one_that_an_old_compose_renamed_gets_its_name_back(engine: HeardEngine) -> None:
    ref = made(engine)
    engine.rename(ref, "2f8ea078039b_stack-svc-1")
    assert brought_back(engine, ref) == ref
    assert names(engine) == {SPEC.name: True}
