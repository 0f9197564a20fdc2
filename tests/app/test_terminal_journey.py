"""The same keys on a real terminal: tmux types them and reads the screen."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    environment = {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "TERM": "tmux-256color",
        "USER": "alice",
    }
    (tmp_path / "compose.yaml").write_text("services:\n  web:\n    image: nginx:1\n")
    command = [sys.executable, "-m", "gputui", "--file", str(tmp_path / "compose.yaml"), "--demo"]
    one = Terminal(command, {**environment, "PYTHONPATH": str(ROOT / "src")})
    one.expect("ai-vision", 30)
    yield one
    one.kill()


def test_every_pane_and_screen_is_reached_and_left_by_its_key(terminal: Terminal, tmp_path: Path) -> None:
    for keys, shown in (
        (["o"], "python train.py"), (["t"], "all of this service"), (["Escape", "f"], "FINDING"),
        (["Escape", "h"], "nothing was saved yet"), (["Escape", "w"], "WHAT"), (["Escape", "v"], "no apply yet"),
        (["Escape", "p"], "nothing to do"), (["Escape", "m"], "GPU-00000000-4100"), (["T"], "NV18"),
        (["Escape", "?"], "Keys: services"), (["Escape", "i"], "docker run"), (["Escape", "s"], "Strategies  "),
        (["Escape", "C"], "Which columns?"), (["Escape", "T"], "gputui-nord"), (["Escape", "n"], "New service"),
        (["Escape", "C-p"], "Search for commands"), (["Escape"], "nothing to do"),
    ):  # fmt: skip
        terminal.keys(*keys)
        terminal.expect(shown)
    assert (tmp_path / "compose.yaml").read_text() == "services:\n  web:\n    image: nginx:1\n"


def test_a_service_is_moved_applied_and_its_logs_are_read(terminal: Terminal) -> None:
    terminal.keys("g", *["j"] * 4, "6")
    terminal.expect("may it be changed")
    terminal.keys("y")
    terminal.expect("2 → 2,6")
    terminal.keys("u")
    terminal.expect(lambda text: "2 → 2,6" not in text)
    terminal.keys("U")
    terminal.expect("1 unsaved")
    terminal.keys("a")
    terminal.expect("Carry this out?")
    terminal.keys("y")
    terminal.expect("✓ done", 60)
    terminal.keys("l")
    terminal.expect("200 OK", 30)
    terminal.keys("/")
    terminal.type("chat")
    terminal.keys("Enter")
    terminal.expect("paused")
    terminal.keys("&")
    terminal.type("!chat")
    terminal.keys("Enter")
    terminal.expect("only !chat")
    terminal.keys("p")
    terminal.expect("the end of the container that was replaced")
    terminal.keys("Escape", "h")
    terminal.expect("apply 1")
    terminal.keys("Enter")
    terminal.expect("recreate ai-rerank")
    terminal.keys("Escape", "Escape", "q")
    terminal.expect("EXIT=0")


def test_settings_that_are_wrong_are_one_line_and_no_screen(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("theme: gputui-dark\nkeys:\n  plan.aply: A\n")
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "tmux-256color"}
    environment |= {"PYTHONPATH": str(ROOT / "src"), "GPUTUI_SETTINGS": str(tmp_path / "settings.yaml")}
    one = Terminal([sys.executable, "-m", "gputui", "--demo"], environment)
    try:
        text = one.expect("EXIT=2", 30)
        assert "settings.yaml:3: keys: nothing has the id plan.aply" in text.replace("\n", "")
    finally:
        one.kill()
