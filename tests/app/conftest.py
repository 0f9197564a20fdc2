"""Fixtures for the app on a simulated server, independent of this machine."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gputui.app.app import AppOptions, GputuiApp
from gputui.apply.executor import Executor
from gputui.compose.files import ComposeFiles
from gputui.controller.local_controller import LocalController
from gputui.controller.settings import Settings
from gputui.controller.store import Store
from gputui.controller.watch.compose_watch import ComposeWatch
from gputui.controller.watch.gpu_watch import GpuWatch
from gputui.domain.event import Finish
from gputui.simulated.gpu_source import SimulatedSource
from gputui.simulated.scenario import read_scenario
from gputui.simulated.simulated_engine import SimulatedEngine
from gputui.state.file_io import packaged
from gputui.state.state_dir import StateDir

Opening = Callable[..., LocalController]


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without settings, themes or UI state of the user."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("GPUTUI_SETTINGS", raising=False)


@pytest.fixture
def open_controller(tmp_path: Path) -> Iterator[Opening]:
    """Opens controllers of simulated servers, whose time runs faster."""
    controllers: list[LocalController] = []

    def opening(
        scenario: str = "h100-server",
        *,
        readonly: bool = False,
        fixed_time: float | None = None,
        settle_s: float = 0.1,
        in_background: bool = False,
        files: Sequence[Path] = (),
        carry_out: Callable[[Store, int], None] | None = None,
    ) -> LocalController:
        server = read_scenario(scenario)
        clock = time.time if fixed_time is None else (lambda: fixed_time)
        engine = SimulatedEngine(server, clock, speed=40)
        source = SimulatedSource(server, engine.claims, clock)

        def launch(number: int, store: Store, finish: Finish) -> None:
            if carry_out is not None:
                carry_out(store, number)
                return
            executor = Executor(engine, source, store.applies, number)
            carry = executor.roll_back if finish == "roll back" else executor.run
            if not in_background:
                carry()
                return
            store.applies.claim(number, os.getpid())
            threading.Thread(target=carry, daemon=True).start()

        state = tmp_path / "room-state"
        state.mkdir(exist_ok=True)
        settings = Settings(
            host=server.host, operator="alice", settle_s=settle_s, readonly=readonly, simulated=True,
            state_dir=lambda _status: StateDir(state), launch=launch,
        )  # fmt: skip
        compose = ComposeWatch(ComposeFiles(tuple(files)), None)
        controller = LocalController(GpuWatch(source, 0.25), engine, compose, settings)
        controller.watch.start()
        controller.watch.wait(10)
        controllers.append(controller)
        return controller

    yield opening
    for controller in controllers:
        controller.watch.close()
    time.sleep(0.05)


@pytest.fixture
def controller(open_controller: Opening) -> LocalController:
    return open_controller()


def app_of(controller: LocalController, **options: Any) -> GputuiApp:
    return GputuiApp(controller, AppOptions(themes=packaged("themes"), **options))


def screen_text(app: GputuiApp) -> str:
    """The main screen as lines of text."""
    compositor = app.screen_stack[-1]._compositor
    strips = compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)
