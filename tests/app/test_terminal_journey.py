"""The same keys on a real terminal: tmux types them and reads the screen."""

import os
import sys
from collections.abc import Callable, Iterator
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
    terminal = Terminal(command, {**environment, "PYTHONPATH": str(ROOT / "src")})
    terminal.expect("ai-vision", 30)
    yield terminal
    terminal.kill()


def test_every_pane_and_screen_is_reached_and_left_by_its_key(terminal: Terminal, tmp_path: Path) -> None:
    for keys, text in (
        (["o"], "python train.py"), (["t"], "all of this service"), (["Escape", "f"], "FINDING"),
        (["Escape", "h"], "nothing was saved yet"), (["Escape", "w"], "WHAT"), (["Escape", "v"], "no apply yet"),
        (["Escape", "p"], "nothing to do"), (["Escape", "m"], "GPU-00000000-4100"), (["T"], "NV18"),
        (["Escape", "?"], "Keys: services"), (["Escape", "i"], "docker run"), (["Escape", "s"], "Strategies  "),
        (["Escape", "C"], "Which columns?"), (["Escape", "T"], "gputui-nord"), (["Escape", "n"], "New service"),
        (["Escape", "C-p"], "Search for commands"), (["Escape"], "nothing to do"),
    ):  # fmt: skip
        terminal.keys(*keys)
        terminal.expect(text)
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
    terminal.burst("/", *"chat", "Enter")
    terminal.expect("paused")
    terminal.burst("&", *"!chat", "Enter")
    terminal.expect("only !chat")
    terminal.keys("p")
    terminal.expect("the end of the container that was replaced")
    terminal.keys("Escape", "h")
    terminal.expect("apply 1")
    terminal.keys("Enter")
    terminal.expect("recreate ai-rerank")
    terminal.keys("Escape", "Escape", "q")
    terminal.expect("EXIT=0")


def test_keys_that_come_in_one_piece_count_where_they_lead(terminal: Terminal) -> None:
    for keys, text in (
        ("/ v i s Enter i", "docker run"), ("q o K i", "simulated processes take"),
        ("? q C-p s t r a t e g Enter", "Strategies  "), ("q", gone("Strategies  ")), ("Tab Escape", gone("1 of 6")),
        ("g j j j j 6 y", "2 → 2,6"), ("n w e b 2", "web2"),
    ):  # fmt: skip
        terminal.burst(*keys.split())
        terminal.expect(text, 20)


def gone(text: str) -> Callable[[str], bool]:
    return lambda screen: text not in screen


def walk(terminal: Terminal, *steps: tuple[list[str], str | Callable[[str], bool]]) -> None:
    """For each step, type the keys and wait for the expected text."""
    for keys, expected in steps:
        terminal.keys(*keys)
        terminal.expect(expected, 20)


def test_services_and_tables_by_every_other_key(terminal: Terminal) -> None:
    walk(
        terminal,
        (["Space"], "1 marked: keys mean it"), (["Space"], "2 marked"), (["*"], "6 marked"),
        (["Escape"], gone("marked")),
        (["."], "SERVICE ▲"), (["\\;"], "SERVICE ▼"), ([","], gone("SERVICE ▼")),
        (["/"], "⏎ take"), (["v", "i", "s", "Enter"], "1 of 6 services"), (["Escape"], gone("1 of 6")),
        (["G", "g", "k", "j", "PPage", "NPage"], "ai-asr"),
        (["z"], gone("[Plan]")), (["z"], "[Plan]"), (["Tab", "z"], gone("SERVICE")), (["z"], "SERVICE"),
        (["Tab", "]"], "[Launch]"), (["["], "[Plan]"), (["Escape", "c"], gone("╭ 0 H100")), (["c"], gone("700W")),
        (["c"], "╭ 0 H100"), (["F5"], "looking for GPUs"),
        (["C-l"], "╭ 0 H100"), (["F"], "no finding about"), (["R"], "no Compose"),
        (["e"], "there is no"), (["b"], "nothing"),
    )  # fmt: skip


def test_a_draft_and_lifecycle_by_every_other_key(terminal: Terminal) -> None:
    walk(
        terminal,
        (["g", *["j"] * 4, "d"], "may it be changed"), (["y"], "1 unsaved"), (["u"], gone("unsaved")),
        (["U"], "1 unsaved"), (["C-s"], gone("unsaved")), (["r"], "Restart ai-rerank?"),
        (["n"], gone("Restart ai-rerank?")), (["x"], "Stop ai-rerank?"),
        (["n"], gone("Stop ai-rerank?")), (["C-z"], "Go back to"), (["n"], gone("Go back to")),
        (["h"], "revision 1"), (["Space"], "is marked: space on another"),
        (["Escape", "h", "R"], "Go back to revision"),
        (["n"], gone("Go back")), (["Escape", "o", "K"], "Send which signal?"), (["Escape"], gone("Send which")),
        (["Escape", "f", "Escape", "m"], "UUID"), (["C-d", "C-u", "T", ">", "<"], "NV18"), (["T"], "UUID"),
        (["?"], "Keys: GPUs"), (["Escape", "Escape"], "SERVICE"),
    )  # fmt: skip


def test_logs_by_every_other_key(terminal: Terminal, tmp_path: Path) -> None:
    walk(
        terminal,
        (["g", "j", "l"], "200 OK"), (["t", "t", "w", "w", "J", "J"], "200 OK"), (["m"], "— "), (["k"], "paused"),
        (["f"], gone("paused")), (["g"], "paused"), (["G"], gone("paused")), (["Right", "Left", "j"], "200 OK"),
        (["+", "Escape", "j", "l", "."], "log of ai-emb"), ([",", "M"], "merged"), (["M"], gone("merged")),
        (["-"], lambda text: text.count("log of ") == 1), (["1"], "all of it"),
        (["0"], lambda text: "all of it" not in text and "200 OK" in text), (["S"], "written"), (["y"], "copy"),
        (["/"], "⏎ take"), (["c", "h", "a", "t", "Enter"], "with “chat”"), (["n", "N"], "paused"),
    )  # fmt: skip
    assert list(tmp_path.rglob("*.log"))


def test_settings_that_are_wrong_are_one_line_and_no_screen(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("theme: gputui-dark\nkeys:\n  plan.aply: A\n")
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "tmux-256color"}
    environment |= {"PYTHONPATH": str(ROOT / "src"), "GPUTUI_SETTINGS": str(tmp_path / "settings.yaml")}
    terminal = Terminal([sys.executable, "-m", "gputui", "--demo"], environment)
    try:
        text = terminal.expect("EXIT=2", 30)
        assert "settings.yaml:3: keys: nothing has the id plan.aply" in text.replace("\n", "")
    finally:
        terminal.kill()
