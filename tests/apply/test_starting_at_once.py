"""How many services of an apply are down at the same time."""

import threading
import time
from pathlib import Path

import pytest

from gputui.apply import executor
from gputui.apply.executor import Executor
from gputui.apply.step_operations import ApplyOptions, PlanInput, make_transaction
from gputui.apply.transaction import put_on_record
from gputui.domain.plan import Plan, Step
from gputui.domain.service import ServiceKey
from gputui.planning.changes.container_view import container_view
from gputui.simulated.gpu_source import SimulatedSource
from gputui.simulated.scenario import Scenario, SimulatedContainer, SimulatedGpu
from gputui.simulated.simulated_engine import SimulatedEngine
from gputui.state.applies import Applies
from gputui.state.database import Database
from tests.builders import gpu, words

HOST = [gpu(number) for number in range(6)]


class CountingEngine(SimulatedEngine):
    """Counts the services whose old container was stopped and whose new one was not started yet."""

    def __init__(self) -> None:
        cards = tuple(SimulatedGpu(gpu=one, reserved_mib=0, power_limit_w=1) for one in HOST)
        running = tuple(
            SimulatedContainer(name=f"s{place}", image="image:1", gpus=(one.uuid,), memory_mib=100, load_s=0)
            for place, one in enumerate(HOST)
        )
        super().__init__(Scenario(name="s", title="s", host="host", driver_version="1", gpus=cards, containers=running))
        self.calls: list[str] = []
        self.most_down = 0
        self._down = 0
        self._count = threading.Lock()

    def stop(self, ref: str, timeout_s: int) -> None:
        with self._count:
            self._down += 1
            self.most_down = max(self.most_down, self._down)
        super().stop(ref, timeout_s)
        time.sleep(0.02)  # so that another thread may come in between

    def start(self, ref: str) -> None:
        super().start(ref)
        with self._count:
            self._down -= 1
            self.calls.append("start")

    def remove(self, ref: str) -> None:
        self.calls.append("remove")
        super().remove(ref)


def recreate_all(tmp_path: Path, settle_s: float) -> CountingEngine:
    engine = CountingEngine()
    keys = [ServiceKey("host", "", f"s{place}") for place in range(len(HOST))]
    steps = tuple(
        Step(
            action="recreate", service=key, name=key.name, cause="edited", container_id=engine.inspect(key.name).id,
            view=container_view(HOST, [one.uuid]),
        )
        for key, one in zip(keys, HOST, strict=True)
    )  # fmt: skip
    inputs = {key: PlanInput(spec=engine.spec(key.name), old=engine.spec(key.name), running=True) for key in keys}
    options = ApplyOptions(operator="alice", reason=words("test"), token="token", settle_s=settle_s, health_limit_s=5)
    applies = Applies(Database(tmp_path / "state.sqlite3"))
    number = put_on_record(applies, make_transaction(Plan(revision=1, steps=steps), inputs, None, options))
    assert Executor(engine, SimulatedSource(engine._scenario, engine.claims), applies, number).run() == "done"
    return engine


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_no_more_services_are_down_at_once_than_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(executor, "STARTING_AT_ONCE", at_once)
    assert recreate_all(tmp_path, settle_s=0).most_down <= at_once


def test_one_that_takes_long_to_come_up_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "STARTING_AT_ONCE", 1)
    calls = recreate_all(tmp_path, settle_s=1.0).calls
    assert calls[: len(HOST)] == ["start"] * len(HOST)
