"""What was just made is looked after while somebody else's `docker compose up` may be about to take it away."""

from dataclasses import replace

import pytest

from gputui.apply import guardian
from gputui.apply.guardian import Guardian, Watched
from gputui.apply.operations import stands_in
from gputui.containers.simulated_engine import SimulatedEngine
from gputui.domain.container import ContainerSpec
from gputui.domain.scenario import Scenario

OF_COMPOSE = {"com.docker.compose.project": "stack", "com.docker.compose.service": "svc"}
SPEC = ContainerSpec(name="stack-svc-1", body={"Image": "image:1", "Labels": OF_COMPOSE, "HostConfig": {}})


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guardian, "LOOK_S", 0.001)
    monkeypatch.setattr(guardian, "GUARD_S", 0.01)
    monkeypatch.setattr(guardian, "REPLACED_S", 0.02)


@pytest.fixture
def engine() -> SimulatedEngine:
    return SimulatedEngine(Scenario(name="s", title="s", host="host", driver_version="1", gpus=(), containers=()))


def made(engine: SimulatedEngine, spec: ContainerSpec = SPEC) -> str:
    ref = engine.create(spec)
    engine.start(ref)
    return ref


def guard(engine: SimulatedEngine, ref: str) -> None:
    Guardian(engine).guard(
        [Watched(ref=ref, bring_back=lambda: made(engine), is_replaced=lambda: stands_in(engine, SPEC, ref))]
    )


def names(engine: SimulatedEngine) -> list[tuple[str, bool]]:
    return [(one.name, one.running) for one in engine.containers()]


def test_one_that_is_taken_away_is_made_again(engine: SimulatedEngine) -> None:
    ref = made(engine)
    engine.remove(ref)
    guard(engine, ref)
    assert names(engine) == [(SPEC.name, True)]


def test_one_that_is_replaced_is_let_go_at_once(engine: SimulatedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guardian, "REPLACED_S", 3600.0)
    ref = made(engine)
    engine.remove(ref)
    other = made(engine)
    guard(engine, ref)
    assert engine.inspect(SPEC.name).id == other


def test_who_takes_one_away_may_take_another_soon(engine: SimulatedEngine) -> None:
    other = replace(SPEC, name="stack-other-1")
    one, two = made(engine), made(engine, other)
    engine.remove(one)
    made(engine)

    def replaced() -> bool:
        """Somebody else's container stands in for the one; the other goes only now."""
        if any(container.id == two for container in engine.containers()):
            engine.remove(two)
        return True

    Guardian(engine).guard(
        [
            Watched(ref=one, bring_back=lambda: made(engine), is_replaced=replaced),
            Watched(ref=two, bring_back=lambda: made(engine, other), is_replaced=lambda: stands_in(engine, other, two)),
        ]
    )
    assert sorted(names(engine)) == [("stack-other-1", True), (SPEC.name, True)]


def test_a_stranger_with_its_name_does_not_stand_in_for_it(engine: SimulatedEngine) -> None:
    ref = made(engine)
    engine.remove(ref)
    made(engine, ContainerSpec(name=SPEC.name, body={"Image": "evil", "HostConfig": {}}))
    assert not stands_in(engine, SPEC, ref)


def test_one_that_is_only_stopped_stays_so(engine: SimulatedEngine) -> None:
    ref = made(engine)
    engine.stop(ref, 1)
    guard(engine, ref)
    assert names(engine) == [(SPEC.name, False)]


def test_where_all_is_well_it_ends(engine: SimulatedEngine) -> None:
    ref = made(engine)
    guard(engine, ref)
    assert engine.inspect(SPEC.name).id == ref
