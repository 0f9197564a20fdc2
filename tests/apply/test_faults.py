"""Whatever call fails, and however: one container of the service runs at the end, and nothing is left over."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gputui.apply import engine_retry, health_gate, post_apply_monitor
from gputui.apply.executor import Executor
from gputui.apply.operations import await_release, stop
from gputui.apply.operations.stop import PutBack
from gputui.apply.step_operations import ApplyOptions, PlanInput, make_transaction
from gputui.apply.transaction import Transaction, put_on_record
from gputui.domain import compose_labels
from gputui.domain.container import ContainerSpec
from gputui.domain.errors import Conflict, EngineError, GputuiError, Unreachable
from gputui.domain.plan import Plan, Step
from gputui.domain.service import ServiceKey
from gputui.planning.changes.container_view import container_view
from gputui.simulated.gpu_source import SimulatedSource
from gputui.simulated.scenario import Scenario, SimulatedContainer, SimulatedGpu
from gputui.simulated.simulated_engine import SimulatedEngine
from gputui.state.applies import Applies, JournalEntry, NewEvent
from gputui.state.database import Database
from tests.builders import gpu, words

HOST = [gpu(0), gpu(1)]
KEY = ServiceKey("host", "", "svc")


class FaultyEngine:
    """The simulated engine, behind a proxy that counts the calls that change or look, and breaks one of them."""

    def __init__(self, engine: SimulatedEngine, fault: Callable[[int, str], str | None]) -> None:
        self._engine = engine
        self._fault = fault
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._engine, name)
        if name == "events":  # followed by a thread of its own, beside what is done
            return real

        def call(*arguments: Any, **named: Any) -> Any:
            self.calls.append(name)
            how = self._fault(len(self.calls), name)
            if how == "refused":
                raise EngineError(f"{name}: refused")
            if how == "cut before":
                raise Unreachable(f"{name}: cut")
            result = real(*arguments, **named)
            if how == "cut after":
                raise Unreachable(f"{name}: cut")
            return result

        return call


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_retry, "RETRY_S", 0.001)
    monkeypatch.setattr(engine_retry, "INSIST_PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(health_gate, "POLL_S", 0.001)
    monkeypatch.setattr(stop, "PUT_BACK_WATCH_S", 0.01)


def server(labels: Mapping[str, str] | None = None) -> SimulatedEngine:
    cards = tuple(SimulatedGpu(gpu=one, reserved_mib=0, power_limit_w=1) for one in HOST)
    running = SimulatedContainer(
        name="svc", image="image:1", gpus=(HOST[0].uuid,), memory_mib=100, load_s=0, labels=labels or {}
    )
    return SimulatedEngine(
        Scenario(name="s", title="s", host="host", driver_version="1", gpus=cards, containers=(running,))
    )


def move(engine: SimulatedEngine, key: ServiceKey = KEY, file: ContainerSpec | None = None) -> Transaction:
    """With nothing to settle, so that the number of calls does not depend on the clock; made anew of what is in the
    `file`, if that is given."""
    step = Step(
        action="recreate", service=key, name="svc", cause="moved", container_id=engine.inspect("svc").id,
        view=container_view(HOST, [HOST[1].uuid]),
    )  # fmt: skip
    plan = Plan(revision=1, steps=(step,))
    old = engine.spec("svc")
    plan_input = PlanInput(spec=file or old, old=old, running=True)
    return make_transaction(plan, {key: plan_input}, None, options(settle_s=0))


def options(settle_s: float) -> ApplyOptions:
    return ApplyOptions(operator="alice", reason=words("test"), token="token", settle_s=settle_s, health_limit_s=5)


def carry_out(
    tmp_path: Path, engine: SimulatedEngine, transaction: Transaction, fault: Callable[[int, str], str | None]
) -> tuple[str, FaultyEngine, Applies, int]:
    applies = Applies(Database(tmp_path / "state.sqlite3"))
    number = put_on_record(applies, transaction)
    broken = FaultyEngine(engine, fault)
    source = SimulatedSource(engine._scenario, engine.claims)
    result = Executor(broken, source, applies, number).run()
    return result, broken, applies, number


def assert_whole(engine: SimulatedEngine, result: str) -> None:
    containers = engine.containers()
    assert [(one.name, one.running) for one in containers] == [("svc", True)], result
    wanted = HOST[1] if result == "done" else HOST[0]
    assert containers[0].gpu_request is not None
    assert containers[0].gpu_request.device_ids == (wanted.uuid,)


def number_of_calls(tmp_path: Path) -> int:
    engine = server()
    result, broken, _, _ = carry_out(tmp_path, engine, move(engine), lambda _n, _name: None)
    assert result == "done"
    assert_whole(engine, "done")
    return len(broken.calls)


@pytest.mark.parametrize("how", ["refused", "cut before", "cut after"])
def test_no_call_that_fails_loses_the_service(tmp_path: Path, how: str) -> None:
    count = number_of_calls(tmp_path)
    outcomes = []
    for broken_call in range(1, count + 1):
        engine = server()

        def fault(number: int, _name: str, broken_call: int = broken_call) -> str | None:
            return how if number == broken_call else None

        result, _, _, _ = carry_out(tmp_path, engine, move(engine), fault)
        assert result in ("done", "rolled_back"), (broken_call, result)
        assert_whole(engine, result)
        outcomes.append(result)
    # What was only cut is asked for again; what was refused is taken back.
    assert ("rolled_back" in outcomes) == (how == "refused")


@pytest.mark.parametrize("outage", range(1, 16))
def test_an_engine_that_is_away_for_a_while_is_waited_for(tmp_path: Path, outage: int) -> None:
    engine = server()
    result, _, _, _ = carry_out(
        tmp_path, engine, move(engine), lambda number, _: "cut before" if outage <= number < outage + 30 else None
    )
    assert_whole(engine, result)


def killed_after(count: int) -> Callable[[int, str], str | None]:
    def fault(number: int, _name: str) -> str | None:
        if number > count:
            raise KeyboardInterrupt
        return None

    return fault


def test_a_process_that_is_killed_anywhere_is_taken_back(tmp_path: Path) -> None:
    for count in range(number_of_calls(tmp_path)):
        engine = server()
        transaction = move(engine)
        applies = Applies(Database(tmp_path / "state.sqlite3"))
        number = put_on_record(applies, transaction)
        source = SimulatedSource(engine._scenario, engine.claims)
        with pytest.raises(KeyboardInterrupt):
            Executor(FaultyEngine(engine, killed_after(count)), source, applies, number).run()
        result = Executor(engine, source, applies, number).roll_back()
        assert_whole(engine, result)


def test_a_stranger_that_has_the_name_is_never_removed(tmp_path: Path) -> None:
    engine = server()
    stranger = engine.create(ContainerSpec(name="web", body={"Image": "theirs", "HostConfig": {}}))
    engine.start(stranger)
    key = ServiceKey("host", "ai", "web")
    step = Step(action="create", service=key, name="web", cause="new", view=container_view(HOST, [HOST[1].uuid]))
    spec = ContainerSpec(name="web", body={"Image": "ours", "HostConfig": {}})
    transaction = make_transaction(Plan(revision=1, steps=(step,)), {key: PlanInput(spec=spec)}, None, options(0.01))
    result, _, _, _ = carry_out(tmp_path, engine, transaction, lambda _n, _name: None)
    assert result == "rolled_back"
    assert engine.inspect("web").id == stranger
    assert engine.inspect("web").running


def test_a_journal_that_cannot_be_written_brings_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = server()
    notes: Iterator[int] = iter(range(100))
    real = Applies.note

    def full(self: Applies, apply_id: int, entry: Any, event: Any = None) -> None:
        if entry.state != "undone" and next(notes) == 5:
            raise sqlite3.OperationalError("database or disk is full")
        real(self, apply_id, entry, event)

    monkeypatch.setattr(Applies, "note", full)
    result, _, _, _ = carry_out(tmp_path, engine, move(engine), lambda _n, _name: None)
    assert result == "rolled_back"
    assert_whole(engine, result)


@pytest.mark.parametrize("how", ["go on", "take back"])
def test_an_undo_that_could_not_be_written_down_costs_no_service_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """SQLite may tell of a commit that failed, for the disk is full, and it is found carried out all the same."""
    engine = server({compose_labels.PROJECT: "stack", compose_labels.SERVICE: "svc"})
    identity = engine.inspect("svc").id
    transaction = move(engine, OF_COMPOSE)
    is_full: list[bool] = []
    real = Database.writing

    @contextmanager
    def writing(self: Database) -> Iterator[sqlite3.Connection]:
        if any(is_full):
            raise GputuiError("database or disk is full")
        with real(self) as connection:
            yield connection

    def note(self: Applies, apply_id: int, entry: JournalEntry, event: NewEvent | None = None) -> None:
        real_note(self, apply_id, entry, event)
        if entry.state == "done" and event is not None and event.operation == "confirm_gpus":
            is_full.append(True)
            raise GputuiError("database or disk is full")

    real_note = Applies.note
    monkeypatch.setattr(Database, "writing", writing)
    monkeypatch.setattr(Applies, "note", note)
    applies = Applies(Database(tmp_path / "state.sqlite3"))
    number = put_on_record(applies, transaction)
    source = SimulatedSource(engine._scenario, engine.claims)
    with pytest.raises(GputuiError, match="full"):
        Executor(engine, source, applies, number).run()
    assert engine.inspect("svc").id == identity, "it was taken back"
    is_full[:] = [False]
    again = Executor(engine, source, applies, number)
    assert_whole(engine, again.run() if how == "go on" else again.roll_back())


def test_what_cannot_be_cleared_up_does_not_take_back_a_service_that_is_well(tmp_path: Path) -> None:
    engine = server()
    result, _, applies, number = carry_out(
        tmp_path, engine, move(engine), lambda _n, name: "refused" if name in ("last_log", "remove") else None
    )
    assert result == "done"
    assert engine.inspect("svc").running
    failed = [event.text for event in applies.events(number) if event.progress == "failed"]
    assert len(failed) == 2, "and what is left is told"


def test_an_apply_that_is_asked_to_stop_says_what_it_did_not_begin(tmp_path: Path) -> None:
    engine = server()
    applies = Applies(Database(tmp_path / "state.sqlite3"))
    number = put_on_record(applies, move(engine))
    source = SimulatedSource(engine._scenario, engine.claims)
    assert Executor(engine, source, applies, number).run(lambda: True) == "rolled_back"
    assert applies.record(number).services == {"svc": "not begun"}
    assert_whole(engine, "rolled_back")


def at(call: str, do: Callable[[], None]) -> Callable[[int, str], str | None]:
    """Something happens beside the apply, once, just before the first call of this name."""
    left = [do]

    def fault(_number: int, name: str) -> str | None:
        if name == call and left:
            left.pop()()
        return None

    return fault


def test_an_old_container_that_comes_back_by_itself_does_not_run_beside_the_new_one(tmp_path: Path) -> None:
    engine = server()
    old = engine.inspect("svc").id
    result, _, _, _ = carry_out(
        tmp_path, engine, move(engine), at("set_restart_policy", lambda: engine.start(old))
    )  # as the policy "always" has it when the daemon comes back
    assert result == "done"
    assert_whole(engine, result)


def test_a_new_container_that_goes_at_the_last_moment_does_not_cost_the_old_one(tmp_path: Path) -> None:
    engine = server()
    identity = engine.inspect("svc").id
    gone: list[bool] = []

    def fault(_number: int, name: str) -> str | None:
        if name == "last_log" and not gone:
            gone.append(True)
            engine.remove("svc")
        return "refused" if name == "create" and gone else None

    result, _, _, _ = carry_out(tmp_path, engine, move(engine), fault)
    assert result == "rolled_back"
    assert engine.inspect("svc").id == identity
    assert_whole(engine, result)


def test_what_is_made_of_its_file_is_put_back_as_it_was_where_the_old_container_is_gone(tmp_path: Path) -> None:
    engine = server()
    identity = engine.inspect("svc").id
    file = ContainerSpec(name="svc", body={"Image": "image:2", "HostConfig": {}})

    def fault(_number: int, name: str) -> str | None:
        if name != "start" or identity not in {one.id for one in engine.containers()}:
            return None
        engine.remove(identity)
        return "refused"

    result, _, _, _ = carry_out(tmp_path, engine, move(engine, file=file), fault)
    assert result == "rolled_back"
    assert engine.inspect("svc").image == "image:1"
    assert_whole(engine, result)


def test_a_stranger_that_took_the_name_is_not_taken_for_the_service(tmp_path: Path) -> None:
    engine = server()
    old = engine.inspect("svc").id

    def taken() -> None:
        engine.remove("svc")
        engine.start(engine.create(ContainerSpec(name="svc", body={"Image": "evil", "HostConfig": {}})))

    result, _, _, _ = carry_out(tmp_path, engine, move(engine), at("last_log", taken))
    assert result == "failed", "a person has to look after the name"
    assert engine.inspect(old).running, "and meanwhile the service runs"
    assert engine.inspect("svc").image == "evil"


def test_an_old_container_that_fell_again_and_again_need_not_stay_up_when_it_is_put_back(tmp_path: Path) -> None:
    engine = server()
    transaction = move(engine)
    (task,) = transaction.tasks
    operations = tuple(
        replace(one, undo=PutBack(steady=False)) if isinstance(one.undo, PutBack) else one for one in task.operations
    )
    engine._templates["svc"] = replace(engine._templates["svc"], fails="out of memory")
    transaction = replace(transaction, tasks=(replace(task, operations=operations),))
    result, _, _, _ = carry_out(tmp_path, engine, transaction, at("start", lambda: engine.remove("svc")))
    assert result == "rolled_back"


def test_a_driver_that_hangs_holds_no_apply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(await_release, "NVML_LIMIT_S", 0.05)
    monkeypatch.setattr(health_gate, "NVML_LIMIT_S", 0.05)
    engine = server()
    applies = Applies(Database(tmp_path / "state.sqlite3"))
    source = SimulatedSource(engine._scenario, engine.claims)
    number = put_on_record(applies, move(engine))
    executor = Executor(engine, source, applies, number)
    monkeypatch.setattr(source, "read", lambda _gpu: threading.Event().wait(60))
    assert executor.run() == "done"


def test_what_an_older_apply_left_is_offered_although_a_newer_one_is_settled(tmp_path: Path) -> None:
    applies = Applies(Database(tmp_path / "state.sqlite3"))
    engine = server()
    first = put_on_record(applies, move(engine))
    applies.claim(first, 2**22 + 1)  # its process is gone
    second = put_on_record(applies, move(engine))
    applies.end(second, "rolled_back", {}, "another apply is running")
    assert [record.id for record in applies.open()] == [first]


def test_two_applies_cannot_begin_at_the_same_time(tmp_path: Path) -> None:
    applies = Applies(Database(tmp_path / "state.sqlite3"))
    engine = server()
    put_on_record(applies, move(engine))
    with pytest.raises(Conflict, match="alice is applying revision 1"):
        put_on_record(applies, move(engine))


OF_COMPOSE = ServiceKey("host", "stack", "svc")


def guarded(tmp_path: Path, engine: SimulatedEngine, fault: Callable[[int, str], str | None]) -> tuple[str, list[str]]:
    """An apply whose container somebody takes away as it ends; its result, and what is told from then on."""
    applies = Applies(Database(tmp_path / "state.sqlite3"))
    number = put_on_record(applies, move(engine, OF_COMPOSE))
    source = SimulatedSource(engine._scenario, engine.claims)
    executor = Executor(FaultyEngine(engine, fault), source, applies, number)
    result = executor.run()
    told = len(applies.events(number))
    engine.remove("svc")
    executor.guard()
    return result, [event.text for event in applies.events(number)[told:]]


@pytest.fixture
def _short_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post_apply_monitor, "LOOK_S", 0.001)
    monkeypatch.setattr(post_apply_monitor, "GUARD_S", 0.02)
    monkeypatch.setattr(post_apply_monitor, "REPLACED_S", 0.01)


@pytest.mark.usefixtures("_short_guard")
def test_what_was_made_comes_back_where_compose_takes_it_away_at_the_end(tmp_path: Path) -> None:
    engine = server()
    result, told = guarded(tmp_path, engine, lambda _n, _name: None)
    assert result == "done"
    assert told == ["somebody took the new container away; it is brought back"]
    assert_whole(engine, result)


@pytest.mark.usefixtures("_short_guard")
def test_what_was_put_back_comes_back_where_compose_takes_it_away_at_the_end(tmp_path: Path) -> None:
    engine = server()
    result, told = guarded(tmp_path, engine, refusing_once("device_nodes"))
    assert result == "rolled_back"
    assert told == ["somebody took the old container away; it is brought back"]
    assert_whole(engine, result)


@pytest.mark.usefixtures("_short_guard")
def test_what_cannot_be_brought_back_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = server()
    create = engine.create

    def create_only_the_first(spec: ContainerSpec) -> str:
        if spec.name == "svc":
            raise EngineError("create: no such image: image:1")
        return create(spec)

    monkeypatch.setattr(engine, "create", create_only_the_first)
    _, told = guarded(tmp_path, engine, lambda _n, _name: None)
    assert told == [
        "somebody took the new container away; it is brought back",
        "it could not be brought back: create: no such image: image:1",
    ]
    assert engine.containers() == ()


def refusing_once(name: str) -> Callable[[int, str], str | None]:
    left = [name]

    def fault(_number: int, called: str) -> str | None:
        return "refused" if called in left and left.pop() else None

    return fault
