"""Reads the files of models, on a thread of its own: they may lie on a disk that hangs."""

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from gputui.domain.model import ModelFiles
from gputui.planning.model_path import ModelPlace
from gputui.weights.model_files import read_model

LOOK_AGAIN_S = 30.0
"""Seconds after which a model's directory is looked at anew."""


class ModelWatch:
    """What is known of the models that were asked for. Asking starts the look; until it ended nothing is known."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._wanted: frozenset[ModelPlace] = frozenset()
        self._known: dict[ModelPlace, ModelFiles] = {}
        self._marks: dict[Path, tuple[object, ModelFiles]] = {}
        self._wake = threading.Event()
        self._stop = False
        self._idle = threading.Event()
        self._idle.set()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="models", daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._stop = True
        self._wake.set()

    def want(self, places: Iterable[ModelPlace]) -> None:
        """Look at these places from now on."""
        wanted = frozenset(places)
        with self._lock:
            new, self._wanted = wanted - self._wanted, wanted
            if new:
                self._idle.clear()
                self._wake.set()

    def look_now(self) -> None:
        """Look again at once."""
        self._wake.set()

    def files(self) -> Mapping[ModelPlace, ModelFiles]:
        """What is known."""
        return self._known

    def wait(self, limit_s: float) -> None:
        """Wait until every place that is wanted was looked at, at most `limit_s`."""
        self._idle.wait(limit_s)

    def _run(self) -> None:
        while not self._stop:
            self._wake.clear()
            wanted = self._wanted
            known: dict[ModelPlace, ModelFiles] = {}
            for place in sorted(wanted, key=lambda one: one.paths):
                found = self._look(place)
                if found is not None:
                    known[place] = found
            differs = known != self._known
            self._known = known
            with self._lock:
                if wanted == self._wanted:
                    self._idle.set()
            if differs:
                self._changed()
            self._wake.wait(LOOK_AGAIN_S)

    def _look(self, place: ModelPlace) -> ModelFiles | None:
        """The first of a place's paths at which there is something; of a model named by its path, else what is wrong
        there. One of the hub that was not downloaded yet is not known."""
        missing: ModelFiles | None = None
        for text in place.paths:
            path = Path(text)
            try:
                path = _snapshot(path / place.hub_name) if place.hub_name else path
                mark = _mark(path)
            except FileNotFoundError:
                if place.hub_name is None:
                    missing = missing or replace(read_model(path), path=text)
                continue
            except OSError:
                continue  # what this user may not see is not known
            before = self._marks.get(path)
            if before is None or before[0] != mark:
                self._marks[path] = (mark, read_model(path))
            return self._marks[path][1]
        return missing


def _snapshot(repository: Path) -> Path:
    """The downloaded revision of a model of the hub (huggingface_hub, "Manage the cache"): `main` where there are
    several."""
    with suppress(OSError):
        revision = (repository / "refs" / "main").read_text()[:80].strip()
        if revision and "/" not in revision and (repository / "snapshots" / revision).is_dir():
            return repository / "snapshots" / revision
    found = sorted((repository / "snapshots").iterdir())
    if not found:
        raise FileNotFoundError
    return found[-1]


def _mark(path: Path) -> object:
    """Changes when the files do: a directory's own time does when one comes or goes."""
    stat = path.stat()
    inner = []
    if path.is_dir():
        for name in ("config.json", "model.safetensors.index.json", "model.safetensors", "tokenizer.json"):
            with suppress(OSError):
                one = (path / name).stat()
                inner.append((name, one.st_mtime_ns, one.st_size))
    return (stat.st_mtime_ns, stat.st_size, tuple(inner))
