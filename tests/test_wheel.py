"""The wheel alone is enough: themes and scenarios are in it."""

import json
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.wheel


def test_the_installed_command_shows_the_simulated_server(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(installed / "gputui"), "--demo", "gpus", "--json"],
        cwd=tmp_path, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["gpus"]) == 8


def test_the_wheel_holds_the_files_that_come_with_it_and_no_tests(installed: Path) -> None:
    (package,) = installed.parent.glob("lib/python3*/site-packages/gputui")
    assert (package / "themes" / "gputui-dark.yaml").is_file()
    assert (package / "configs" / "scenarios" / "workstation.yaml").is_file()
    assert (package / "app" / "app.tcss").is_file()
    assert not list(package.parent.glob("tests"))
