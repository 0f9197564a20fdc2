"""Looking into a container without a process in it."""

from pathlib import Path

import pytest

from gputui.containers import outside_look
from gputui.containers.outside_look import names_in_dev

ID = "4f" * 32
OTHER = "5e" * 32


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc with process 7, of the container `ID`, which has GPU 3."""
    dev = tmp_path / "7" / "root" / "dev"
    dev.mkdir(parents=True)
    (dev / "nvidia3").touch()
    (dev / "null").touch()
    (tmp_path / "7" / "cgroup").write_text(f"0::/system.slice/docker-{ID}.scope\n")
    monkeypatch.setattr(outside_look, "_PROC", tmp_path)
    return tmp_path


def test_what_its_main_process_has_in_dev(proc: Path) -> None:
    assert names_in_dev(ID, 7) == frozenset({"nvidia3", "null"})


def test_a_pid_that_is_another_process_here_tells_nothing(proc: Path) -> None:
    assert names_in_dev(OTHER, 7) is None


def test_a_process_that_is_gone_tells_nothing(proc: Path) -> None:
    assert names_in_dev(ID, 8) is None


def test_a_link_in_the_place_of_dev_is_not_followed(proc: Path) -> None:
    dev = proc / "7" / "root" / "dev"
    dev.rename(proc / "elsewhere")
    dev.symlink_to(proc / "elsewhere")
    assert names_in_dev(ID, 7) is None
