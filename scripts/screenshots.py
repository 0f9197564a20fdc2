"""Makes screenshots/ from the simulated servers, with the real app: `make screenshots`."""

import asyncio
import os
import tempfile
from pathlib import Path

os.environ.setdefault("USER", "alice")

from textual.pilot import Pilot

from gputui.app.app import AppOptions, GputuiApp
from gputui.cli.arguments import parse
from gputui.main import demo_room
from gputui.project.packaged_files import packaged

FOLDER = Path(__file__).resolve().parents[1] / "screenshots"


async def adopt_and_move(pilot: Pilot[None]) -> None:
    """The reranker is dragged onto a full GPU: the warning on row and card."""
    await pilot.press("g", "j", "j", "j", "j", "1")
    await pilot.pause(0.8)
    await pilot.press("y", "2")
    await pilot.pause(0.8)


async def launch(pilot: Pilot[None]) -> None:
    """The reranker moves to an idle GPU."""
    await pilot.press("g", "j", "j", "j", "j", "6")
    await pilot.pause(0.8)
    await pilot.press("y", "2")
    await pilot.pause(0.5)
    await pilot.press("a")
    await pilot.pause(0.8)
    await pilot.press("y")
    await pilot.pause(7)


async def strategies(pilot: Pilot[None]) -> None:
    """The strategies side by side."""
    await pilot.press("s")
    await pilot.pause(2)
    await pilot.press("j")
    await pilot.pause(0.5)


async def edit(pilot: Pilot[None]) -> None:
    """The edit dialog."""
    await pilot.press("g", "j", "enter")
    await pilot.pause(0.8)


async def logs(pilot: Pilot[None]) -> None:
    """A followed log."""
    await pilot.press("g", "j", "l")
    await pilot.pause(1.5)


PICTURES = (
    ("warning", "h100-server", (120, 36), None, adopt_and_move),
    ("launch", "h100-server", (130, 40), None, launch),
    ("strategies", "h100-server", (120, 40), None, strategies),
    ("edit", "workstation", (100, 32), None, edit),
    ("logs-80x24", "mixed-server", (80, 24), None, logs),
    ("light", "h100-server", (120, 36), "gputui-light", adopt_and_move),
    ("contrast", "workstation", (100, 30), "gputui-contrast", logs),
)


async def take(name: str, scenario: str, size: tuple[int, int], theme: str | None, keys: object) -> None:
    """One picture."""
    room = demo_room(parse([f"--demo={scenario}"]), Path(tempfile.mkdtemp()))
    room.start()
    room.wait_until_seen(10)
    app = GputuiApp(room, AppOptions(themes=packaged("themes"), theme=theme))
    async with app.run_test(size=size) as pilot:
        await pilot.pause(2.5)
        await keys(pilot)  # type: ignore[operator]
        app.save_screenshot(f"{name}.svg", str(FOLDER))
    room.close()
    print(FOLDER / f"{name}.svg")


def main() -> None:
    """All pictures."""
    FOLDER.mkdir(exist_ok=True)
    for picture in PICTURES:
        asyncio.run(take(*picture))
    os._exit(0)


if __name__ == "__main__":
    main()
