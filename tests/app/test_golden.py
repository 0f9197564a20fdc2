"""How the main screen looks, as text: `GPUTUI_GOLDEN=write` writes the pictures anew, to be read in the diff."""

import os
import time
from pathlib import Path

import pytest

from tests.app.conftest import Opening, app_of, screen_text
from tests.app.test_keys import until

GOLDEN = Path(__file__).with_name("golden")

LOOKS = [
    ("workstation", (80, 24)),
    ("workstation", (120, 40)),
    ("h100-server", (80, 24)),
    ("h100-server", (120, 40)),
    ("h100-server", (200, 50)),
    ("mixed-server", (120, 40)),
]


@pytest.mark.parametrize(("scenario", "size"), LOOKS, ids=[f"{name}-{w}x{h}" for name, (w, h) in LOOKS])
async def test_the_main_screen(
    open_room: Opening, monkeypatch: pytest.MonkeyPatch, scenario: str, size: tuple[int, int]
) -> None:
    monkeypatch.setattr(time, "strftime", lambda _format: "14:03")
    monkeypatch.setattr("gputui.gpus.readers.STALE_AFTER_S", float("inf"))  # the clock of the simulation stands still
    room = open_room(scenario, now=1_700_000_000.0)
    app = app_of(room)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "running, found" in screen_text(app) and "nothing to do" in screen_text(app))
        text = "\n".join(line.rstrip() for line in screen_text(app).splitlines()) + "\n"
    path = GOLDEN / f"{scenario}-{size[0]}x{size[1]}.txt"
    if os.environ.get("GPUTUI_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()
