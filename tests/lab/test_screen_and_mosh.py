"""What people have between their terminal and the server: GNU screen, mosh, and terminals without a second screen."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.conftest import GPUS, Lab
from tests.terminal import Terminal

pytestmark = pytest.mark.lab


def in_screen(command: list[str], environment: dict[str, str], folder: Path) -> tuple[list[str], dict[str, str]]:
    """A window of GNU screen."""
    folder.chmod(0o700)
    return ["screen", "-U", "-c", "/dev/null", *command], {**environment, "SCREENDIR": str(folder)}


def over_mosh(command: list[str], environment: dict[str, str], _folder: Path) -> tuple[list[str], dict[str, str]]:
    """A mosh client of a server on the loopback."""
    server = ["mosh-server", "new", "-i", "127.0.0.1", "-c", "256", "--", *command]
    said = subprocess.run(server, env=environment, capture_output=True, text=True, timeout=20, check=True).stdout
    connect = re.search(r"MOSH CONNECT (\d+) (\S+)", said)
    assert connect, said
    return ["mosh-client", "127.0.0.1", connect[1]], {**environment, "MOSH_KEY": connect[2]}


@pytest.fixture(params=[in_screen, over_mosh])
def terminal(request: pytest.FixtureRequest, lab: Lab, tmp_path: Path) -> Iterator[Terminal]:
    """gputui within it, and a shell afterwards that says how it ended."""
    after = ["sh", "-c", '"$@"; echo "LEFT WITH $?"; sleep 30', "sh", *lab.command()]
    command, environment = request.param(after, lab.environment(), tmp_path)
    command[0] = shutil.which(command[0]) or command[0]
    opened = Terminal(command, environment)
    yield opened
    opened.kill()


def test_the_screen_is_as_elsewhere_and_nothing_of_it_is_left(
    three_services: dict[str, int], terminal: Terminal
) -> None:
    text = terminal.expect(lambda text: all(f"{name} 8.0" in text for name in three_services))
    assert text.count("H100 80GB") == GPUS
    assert "╭ 0 H100 80GB ─" in text
    free = next(gpu for gpu in range(GPUS) if gpu not in three_services.values())
    terminal.keys("g", str(free))
    terminal.expect("may it be changed from here?")
    terminal.keys("y")
    terminal.expect(f",{free}")
    terminal.keys("q")
    terminal.expect("Quit without saving?")
    terminal.keys("y")
    left = terminal.expect("LEFT WITH 0")
    assert "H100" not in left
