"""What the host is called, which is part of what a service is known by."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gputui.compose.files import ComposeFiles
from gputui.controller.local_controller import LocalController
from gputui.controller.settings import Settings
from gputui.controller.watch.compose_watch import ComposeWatch
from gputui.controller.watch.gpu_watch import GpuWatch
from gputui.domain.errors import Unreachable
from gputui.simulated.gpu_source import SimulatedSource
from gputui.simulated.scenario import read_scenario
from gputui.simulated.simulated_engine import SimulatedEngine
from gputui.state.state_dir import StateDir

COMPOSE = """
name: stack
services:
  llm:
    image: ai/llm:1
    gpus: all
"""


class AwayAtFirst:
    """An engine that does not answer until it is there."""

    def __init__(self, engine: SimulatedEngine) -> None:
        self._engine = engine
        self.is_there = False

    def __getattr__(self, name: str) -> Any:
        if not self.is_there and name in ("info", "containers", "events"):
            raise Unreachable("the engine is away")
        return getattr(self._engine, name)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[LocalController, AwayAtFirst]]:
    scenario = read_scenario("h100-server")
    simulated = SimulatedEngine(scenario)
    engine = AwayAtFirst(simulated)
    compose = tmp_path / "compose.yaml"
    compose.write_text(COMPOSE)
    settings = Settings(
        host="3f2a9c", operator="alice", settle_s=0.1, named_by_engine=True,
        state_dir=lambda _status: StateDir(tmp_path), launch=lambda *_: None,
    )  # fmt: skip
    gpus = GpuWatch(SimulatedSource(scenario, simulated.claims, time.time), 0.25)
    controller = LocalController(gpus, engine, ComposeWatch(ComposeFiles((compose,)), None), settings)
    yield controller, engine
    controller.watch.close()


def test_in_a_container_no_service_is_known_by_the_containers_own_name(
    server: tuple[LocalController, AwayAtFirst],
) -> None:
    controller, engine = server
    controller.watch.start()
    assert controller.watch.wait(10).services == (), "the engine is away"
    engine.is_there = True
    end = time.monotonic() + 30
    while not controller.watch.snapshot().services and time.monotonic() < end:
        controller.watch.rescan()
        time.sleep(0.05)
    assert {one.key.host for one in controller.watch.snapshot().services} == {"dgx-a1"}
