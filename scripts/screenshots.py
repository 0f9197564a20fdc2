"""Makes screenshots/ from the simulated servers, with the real app: `make screenshots`."""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

os.environ.setdefault("USER", "alice")

from textual.pilot import Pilot

from gputui.app.app import AppOptions, GputuiApp
from gputui.cli.arguments import parse
from gputui.controller.local_controller import LocalController
from gputui.main import demo_controller
from gputui.state.file_io import packaged

FOLDER = Path(__file__).resolve().parents[1] / "screenshots"

Keys = Callable[[Pilot[None]], Awaitable[None]]


def typing(*keys: str | float) -> Keys:
    """Press these keys; a number waits so many seconds."""

    async def do(pilot: Pilot[None]) -> None:
        for key in keys:
            if isinstance(key, str):
                await pilot.press(key)
                await pilot.pause(0.1)
            else:
                await pilot.pause(key)

    return do


RERANK = ("g", "j", "j", "j", "j")
WARNING = typing(*RERANK, "1", 0.5, "y", "2", 0.8)

LOGS = typing("g", "j", "j", "l", 0.5, "plus", "escape", "j", 1.0, "l", "slash", *"200", "enter", 0.5)

PICTURES: tuple[tuple[str, str, tuple[int, int], str | None, Keys], ...] = (
    ("warning", "h100-server", (120, 36), None, WARNING),
    ("launch", "h100-server", (130, 40), None, typing("g", "j", "j", "j", "6", 0.5, "y", "a", 1.0, "y", 9.0)),
    ("strategies", "h100-server", (120, 40), None, typing("s", 2.0, "j", 0.5)),
    ("edit", "h100-server", (120, 36), None, typing(*RERANK, "enter", 0.5, "down", "7", 0.5)),
    ("processes", "h100-server", (130, 40), None, typing("o", "t", 1.0)),
    ("gpus", "h100-server", (160, 44), None, typing("m", "j", 6.0)),
    ("links", "h100-server", (120, 30), None, typing("m", "T", 1.0)),
    ("logs", "h100-server", (150, 40), None, LOGS),
    ("help", "h100-server", (120, 44), None, typing("question_mark", 0.5)),
    ("logs-80x24", "mixed-server", (80, 24), None, typing("g", "j", "l", 1.5)),
    ("light", "h100-server", (120, 36), "gputui-light", WARNING),
    ("contrast", "workstation", (100, 30), "gputui-contrast", typing("l", 1.0)),
    ("colour-blind", "h100-server", (120, 36), "gputui-colour-blind", WARNING),
    ("paper", "mixed-server", (120, 36), "gputui-paper", typing("f", 1.0)),
)  # fmt: skip


AGED_S = 240
"""So long the servers run before the first picture: graphs of ten minutes are to have something to show."""


def started(scenario: str) -> LocalController:
    """A server of its own for a picture."""
    controller = demo_controller(parse([f"--demo={scenario}"]), Path(tempfile.mkdtemp()))
    controller.watch.start()
    controller.watch.wait(10)
    return controller


async def take(controller: LocalController, name: str, size: tuple[int, int], theme: str | None, keys: Keys) -> None:
    """One picture."""
    app = GputuiApp(controller, AppOptions(themes=packaged("themes"), theme=theme))
    async with app.run_test(size=size) as pilot:
        await pilot.pause(2.5)
        await keys(pilot)
        app.save_screenshot(f"{name}.svg", str(FOLDER))
    controller.watch.close()
    print(FOLDER / f"{name}.svg")


def main() -> None:
    """All pictures."""
    FOLDER.mkdir(exist_ok=True)
    controllers = [started(scenario) for _, scenario, *_ in PICTURES]
    time.sleep(AGED_S)
    for controller, (name, _, *how) in zip(controllers, PICTURES, strict=True):
        asyncio.run(take(controller, name, *how))
    os._exit(0)


if __name__ == "__main__":
    main()
