"""The wheel alone is enough: themes and scenarios are in it. The sdist has what the project is made and tested of."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

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


def test_the_sdist_holds_what_is_needed_to_test_and_pack_it_again(tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    options = ("--sdist", "-q", "--no-build-isolation", "--python", sys.executable, "-o", str(tmp_path))
    done = subprocess.run([str(uv), "build", *options, str(REPOSITORY)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = [
        path.relative_to(REPOSITORY).as_posix()
        for folder in ("src", "tests", "docs", "configs", "themes", "bench", "scripts")
        for path in (REPOSITORY / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    wanted += ["Makefile", "README.md", "LICENSE", "pyproject.toml", "requirements.txt", "requirements-dev.txt"]
    assert [name for name in wanted if name not in names] == []
