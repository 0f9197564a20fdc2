"""How every screen looks, as text and as styles. `GPUTUI_GOLDEN=write` writes the pictures again, to be reviewed as a
diff.

Each state is drawn at three sizes. The text is one file a size; the styles, of which there is one file for the dark and
one for the light theme, are run lengths of letters. What colours these stand for is one file for all, and so are the
key bars.
"""

import fcntl
import json
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from textual.pilot import Pilot

from gputui.app.app import GputuiApp
from gputui.app.dialogs.new_service_form import NewServiceForm
from gputui.controller.store import Store
from gputui.domain.event import WATCH
from gputui.state.applies import NewEvent
from tests.app.conftest import Opening, app_of, screen_text
from tests.app.piloting import press_and_adopt, shows
from tests.builders import words

GOLDEN = Path(__file__).with_name("golden")
NOW = 1_700_000_000.0
SIZES = ((80, 24), (120, 40), (200, 50))
THEMES = ("gputui-dark", "gputui-light")

Keys = Callable[[Pilot[None]], Awaitable[None]]


def pressing(*keys: str, text: str = "") -> Keys:
    async def press(pilot: Pilot[None]) -> None:
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await shows(pilot, text)

    return press


async def too_full(pilot: Pilot[None]) -> None:
    """The reranker is assigned to a GPU without enough headroom."""
    await pilot.press("g", "j", "j", "j", "j")
    await press_and_adopt(pilot, "1")
    await shows(pilot, "over by")


async def asked(pilot: Pilot[None]) -> None:
    await too_full(pilot)
    await pilot.press("a")
    await shows(pilot, "Carry this out?")


async def carried_out(pilot: Pilot[None]) -> None:
    """The transcriber gets the GPU of the reranker too, and its health is being checked."""
    await pilot.press("g", "j")
    await press_and_adopt(pilot, "2")
    await shows(pilot, "3 → ")
    await pilot.press("a")
    await shows(pilot, "Carry this out?")
    await pilot.press("y")
    await shows(pilot, "42 s")


def half_of_it(store: Store, number: int) -> None:
    """An apply that stops while the new container is being watched."""
    store.applies.claim(number, os.getpid())
    for event in (
        NewEvent("step", "started", words("recreate ai-asr: its GPUs were changed"), "ai-asr"),
        NewEvent("operation", "done", words("create the new container beside the old one"), "ai-asr"),
        NewEvent("operation", "done", words("stop the old container"), "ai-asr"),
        NewEvent("operation", "done", words("start the new container"), "ai-asr"),
        NewEvent("log", "done", words("loading model whisper-large-v3"), "ai-asr"),
        NewEvent("operation", "started", words("watch it come up"), "ai-asr", WATCH),
    ):
        store.applies.add_event(number, event)


async def new_service(pilot: Pilot[None]) -> None:
    app = pilot.app
    assert isinstance(app, GputuiApp)
    app.push_screen(NewServiceForm(app._controller.compose_files, app._controller.watch.snapshot()))
    await shows(pilot, "jupyter", "8000:8000")


STATES: dict[str, tuple[str, Keys]] = {
    "workstation": ("workstation", pressing()),
    "h100-server": ("h100-server", pressing()),
    "mixed-server": ("mixed-server", pressing()),
    "edited": ("h100-server", too_full),
    "apply-question": ("h100-server", asked),
    "adoption-question": ("h100-server", pressing("6", text="may it be changed")),
    "edit-dialog": ("h100-server", pressing("g", "j", "enter", text="FREE AFTER")),
    "strategies": ("h100-server", pressing("s", text="proved")),
    "columns": ("h100-server", pressing("C", text="Which columns?")),
    "marked": ("h100-server", pressing("g", "space", "space", text="●")),
    "logs": ("h100-server", pressing("l", text="200 OK")),
    "processes": ("h100-server", pressing("o", text="python train.py")),
    "process-tree": ("h100-server", pressing("o", "t", text="all of this")),
    "findings": ("mixed-server", pressing("f", text="rows wait")),
    "history": ("h100-server", pressing("h", text="nothing was saved yet")),
    "events": ("h100-server", pressing("w", text="nothing happened so far")),
    "launch": ("h100-server", pressing("v", text="no apply yet")),
    "apply-runs": ("h100-server", carried_out),
    "gpu-detail": ("mixed-server", pressing("m", "j", text="remapped rows")),
    "gpu-links": ("h100-server", pressing("m", "T", text="NV18")),
    "cards-as-rows": ("h100-server", pressing("c", "c")),
    "cards-as-line": ("h100-server", pressing("c", "c", "c")),
    "zoomed": ("h100-server", pressing("o", "z")),
    "inspect": ("h100-server", pressing("i", text="as the engine has it")),
    "help": ("h100-server", pressing("question_mark", text="Keys: services")),
    "new-service": ("h100-server", new_service),
    "filter": ("h100-server", pressing("slash", *"whisper")),
}


@dataclass(frozen=True)
class Picture:
    """A screen: its text and the runs of its styles, both without the key bar, which has a file for all pictures; and
    the colours that the letters of the runs stand for, in one file for all, too. So a changed colour, or a changed
    word of the key bar, changes one file."""

    text: str
    runs: str
    key_bar: str
    colours: tuple[str, ...]


def picture_of(app: GputuiApp) -> Picture:
    letters: dict[str, str] = {}
    lines = []
    for strip in app.screen_stack[-1]._compositor.render_strips()[:-1]:
        runs: list[list[object]] = []
        for text, style, _ in strip:
            name = letters.setdefault(str(style), chr(0x61 + len(letters) % 26) + (str(len(letters) // 26) or ""))
            if runs and runs[-1][1] == name:
                runs[-1][0] = int(str(runs[-1][0])) + len(text)
            else:
                runs.append([len(text), name])
        lines.append(" ".join(f"{count}{name}" for count, name in runs))
    *text_lines, key_bar = (line.rstrip() for line in screen_text(app).splitlines())
    return Picture("\n".join(text_lines) + "\n", "\n".join(lines) + "\n", key_bar, tuple(letters))


WRITING = os.environ.get("GPUTUI_GOLDEN") == "write"
KEY_BARS, COLOURS = GOLDEN / "key-bars.json", GOLDEN / "colours.json"


def recorded(name: str, theme: str) -> Picture:
    text, runs = (GOLDEN / f"{name}.txt").read_text(), (GOLDEN / f"{name}.{theme}").read_text()
    key_bar, colours = json.loads(KEY_BARS.read_text())[name], json.loads(COLOURS.read_text())[f"{name}.{theme}"]
    return Picture(text, runs, key_bar, tuple(colours))


def record(name: str, theme: str, picture: Picture) -> None:
    (GOLDEN / f"{name}.txt").write_text(picture.text)
    (GOLDEN / f"{name}.{theme}").write_text(picture.runs)
    for path, key, value in ((KEY_BARS, name, picture.key_bar), (COLOURS, f"{name}.{theme}", list(picture.colours))):
        with path.open("a+") as file:  # several processes write at the same time
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            entries = json.loads(file.read() or "{}") | {key: value}
            file.truncate(0)
            file.write(json.dumps(dict(sorted(entries.items())), indent=0, ensure_ascii=False) + "\n")


async def settled(pilot: Pilot[None], app: GputuiApp, expected: Picture | None) -> Picture:
    """The expected picture, else the first stable one: a slow machine draws it later."""
    previous = None
    for _ in range(10 if WRITING else 100):
        await pilot.pause(0.1)
        current = picture_of(app)
        if current == (expected or previous):
            return current
        previous = current
    return current


@pytest.mark.parametrize("state", STATES)
async def test_the_look(open_controller: Opening, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    monkeypatch.setattr(time, "strftime", lambda format_, *_: "14:03:00" if "%S" in format_ else "14:03")
    monkeypatch.setattr(time, "time", lambda: NOW)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr("gputui.gpus.readers.STALE_AFTER_S", float("inf"))  # the simulated clock is frozen
    monkeypatch.setattr("gputui.controller.local_compose_files.LocalComposeFiles.free_port", lambda *_: 8000)
    monkeypatch.setattr("gputui.state.applies.now", lambda: "2023-11-14T22:12:38+00:00")  # 42 s before
    monkeypatch.setattr("gputui.state.applies.STARTING_S", float("inf"))  # it is recorded before it is claimed
    scenario, keys = STATES[state]
    controller = open_controller(scenario, fixed_time=NOW, carry_out=half_of_it)
    pictures: dict[tuple[str, str], Picture] = {}
    app = app_of(controller, theme=THEMES[0])
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, ", unmanaged", "nothing to do")
        await keys(pilot)
        for width, height in SIZES:
            await pilot.resize_terminal(width, height)
            for theme in THEMES:
                app.theme = theme
                app.clear_notifications()
                name = (f"{state}-{width}x{height}", theme.removeprefix("gputui-"))
                pictures[name] = await settled(pilot, app, None if WRITING else recorded(*name))
    for name, picture in pictures.items():
        if WRITING:
            GOLDEN.mkdir(exist_ok=True)
            record(*name, picture)
        assert picture == recorded(*name), name
