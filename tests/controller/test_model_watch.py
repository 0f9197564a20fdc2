"""Reading models in the background: found in their caches, read again when they change, and never in anybody's way."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gputui.controller.watch import model_watch
from gputui.controller.watch.model_watch import ModelWatch
from gputui.domain.model import ModelFiles
from gputui.models.model_files import read_model
from gputui.planning.needs.model_path import ModelPlace
from tests.models.files import write_safetensors


@pytest.fixture
def changed() -> threading.Event:
    return threading.Event()


@pytest.fixture
def watch(changed: threading.Event) -> ModelWatch:
    made = ModelWatch(changed.set)
    made.start()
    return made


def until(what: Callable[[], bool]) -> None:
    for _ in range(100):
        if what():
            return
        time.sleep(0.05)
    raise AssertionError


def model(folder: Path, elements: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / "model.safetensors", [("a", "U8", (elements,))])
    return folder


def test_a_model_at_a_path(watch: ModelWatch, tmp_path: Path) -> None:
    place = ModelPlace(paths=(str(tmp_path / "nowhere"), str(model(tmp_path / "m", 10))))
    watch.want([place])
    watch.wait(5)
    assert watch.files()[place].weights_bytes == 10
    watch.close()


def test_a_path_at_which_nothing_is_is_told(watch: ModelWatch, tmp_path: Path) -> None:
    place = ModelPlace(paths=(str(tmp_path / "nowhere"),), roots=(str(tmp_path),))
    watch.want([place])
    watch.wait(5)
    assert watch.files()[place].problems == (f"{tmp_path}/nowhere does not exist",)
    watch.close()


def test_a_volume_that_is_not_seen_from_here_is_not_known(watch: ModelWatch, tmp_path: Path) -> None:
    """The engine may be on another host, or gputui in a container."""
    place = ModelPlace(paths=("/nonexistent/models/m",), roots=("/nonexistent/models",))
    (tmp_path / "link").symlink_to("/only/inside/the/container")
    linked = ModelPlace(paths=(str(tmp_path / "link" / "m"),), roots=(str(tmp_path),))
    watch.want([place, linked])
    watch.wait(5)
    assert watch.files() == {}
    watch.close()


def test_a_file_that_was_still_being_copied_is_read_again(watch: ModelWatch, tmp_path: Path) -> None:
    folder = model(tmp_path / "m", 10)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-5])
    place = ModelPlace(paths=(str(folder),))
    watch.want([place])
    watch.wait(5)
    assert watch.files()[place].problems
    (folder / "model.safetensors").write_bytes(whole)
    watch.look_now()
    until(lambda: watch.files()[place].weights_bytes == 10)
    watch.close()


def test_a_model_of_the_hub_is_found_in_the_cache(watch: ModelWatch, tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--org--name"
    model(repository / "snapshots" / "aaa", 10)
    model(repository / "snapshots" / "bbb", 20)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("aaa")
    place = ModelPlace(paths=(str(tmp_path / "hub"),), hub_name="models--org--name")
    watch.want([place])
    watch.wait(5)
    assert watch.files()[place].weights_bytes == 10
    watch.close()


def test_a_model_of_the_hub_that_was_not_downloaded_is_not_known(watch: ModelWatch, tmp_path: Path) -> None:
    place = ModelPlace(paths=(str(tmp_path),), hub_name="models--org--name")
    watch.want([place])
    watch.wait(5)
    assert watch.files() == {}
    watch.close()


def test_a_model_that_changes_is_read_again(watch: ModelWatch, changed: threading.Event, tmp_path: Path) -> None:
    folder = model(tmp_path / "m", 10)
    place = ModelPlace(paths=(str(folder),))
    watch.want([place])
    watch.wait(5)
    changed.clear()
    model(folder, 30)
    os.utime(folder / "model.safetensors", (1, 1))
    watch.look_now()
    assert changed.wait(5)
    assert watch.files()[place].weights_bytes == 30
    watch.close()


def test_a_disk_that_hangs_holds_up_no_other_model(
    watch: ModelWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    def hangs(path: Path) -> ModelFiles:
        if path.name == "hangs":
            release.wait(20)
        return read_model(path)

    monkeypatch.setattr(model_watch, "_read_model", hangs)
    good = ModelPlace(paths=(str(model(tmp_path / "good", 10)),))
    bad = ModelPlace(paths=(str(model(tmp_path / "hangs", 10)),))
    watch.want([good, bad])
    until(lambda: set(watch.files()) == {good})
    release.set()
    watch.close()
