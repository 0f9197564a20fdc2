"""Reads the files of models on threads of their own: they may be on a hanging disk."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from gputui.controller.watch.watcher import BackgroundWatch, Watcher
from gputui.domain.model import ModelFiles
from gputui.domain.text import clean
from gputui.planning.needs.model_path import ModelPlace

LOOK_AGAIN_S = 30.0
"""Seconds after which a model's directory is looked at again."""
MOST_REMEMBERED = 500
"""The most models whose files are cached until they change."""
PATIENCE_S = 5.0
"""Seconds after which an unfinished look is no longer waited for."""

_log = logging.getLogger(__name__)


class ModelWatch(BackgroundWatch):
    """What is known of the requested models. A request starts the look; until that ends, nothing is known."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._requested: frozenset[ModelPlace] = frozenset()
        self._files: dict[ModelPlace, ModelFiles] = {}
        self._looking: set[ModelPlace] = set()
        self._differs = False
        self._marks: dict[Path, tuple[object, ModelFiles]] = {}
        self._watcher = Watcher("model files", self._look_at_all)
        self._idle = threading.Event()
        self._idle.set()

    def want(self, places: Iterable[ModelPlace]) -> None:
        """Look at these places from now on."""
        requested = frozenset(places)
        with self._lock:
            new, self._requested = requested - self._requested, requested
            if new:
                self._idle.clear()
                self._watcher.wake()

    def look_now(self) -> None:
        """Look again at once."""
        self._watcher.wake()

    def files(self) -> Mapping[ModelPlace, ModelFiles]:
        """The known files, by place."""
        return self._files

    def wait(self, limit_s: float) -> None:
        """Wait until every requested place was looked at, at most `limit_s`."""
        self._idle.wait(limit_s)

    def _look_at_all(self) -> float:
        requested = self._requested
        with self._lock:
            self._files = {place: files for place, files in self._files.items() if place in requested}
        looks = [self._start_look(place) for place in requested if place not in self._looking]
        end = time.monotonic() + PATIENCE_S
        woken = self._watcher.woken
        while any(look.is_alive() for look in looks) and time.monotonic() < end and not woken.wait(0.02):
            pass
        with self._lock:
            if requested == self._requested:
                self._idle.set()
            differs, self._differs = self._differs, False
        if differs:
            self._changed()
        return LOOK_AGAIN_S

    def _start_look(self, place: ModelPlace) -> threading.Thread:
        """Start a thread for each place: one on a hanging disk must not hold up the others."""
        self._looking.add(place)
        thread = threading.Thread(target=self._take_look, args=(place,), name="model", daemon=True)
        thread.start()
        return thread

    def _take_look(self, place: ModelPlace) -> None:
        try:
            files = self._look(place)
        except Exception as error:  # an error in one file must not hide the others
            _log.error("a model's files cannot be read", exc_info=error)
            files = ModelFiles(path=place.paths[0], unread=clean(repr(error), 200))
        with self._lock:
            previous = self._files.get(place)
            files = files if place in self._requested else None
            remaining = {known_place: files for known_place, files in self._files.items() if known_place != place}
            self._files = remaining if files is None else {**remaining, place: files}
            self._looking.discard(place)
            differs, self._differs = self._differs or previous != files, False
            if self._looking and differs:
                # The last look to end notifies; until then the next tick shows what is known.
                self._differs, differs = True, False
        if differs:
            self._changed()

    def _look(self, place: ModelPlace) -> ModelFiles | None:
        """The model at the first of a place's paths that exists. If none does, a model named by its path is reported as
        missing; a hub model, which may not be downloaded yet, is unknown."""
        missing: ModelFiles | None = None
        for text in place.paths:
            path = Path(text)
            try:
                path = _snapshot(path / place.hub_name) if place.hub_name else path
                mark = _mark(path)
            except FileNotFoundError:
                if place.hub_name is None and missing is None:
                    missing = _nothing_at(path, place.roots)
                continue
            except (OSError, ValueError):
                continue  # unknown if this user has no access
            return self._read(path, mark)
        return missing

    def _read(self, path: Path, mark: object) -> ModelFiles:
        """The model's files, cached while nothing changes; a truncated file may just have been incomplete."""
        cached = self._marks.get(path)
        if cached is not None and cached[0] == mark and not cached[1].problems:
            return cached[1]
        files = _read_model(path)
        if len(self._marks) >= MOST_REMEMBERED:
            self._marks.clear()
        self._marks[path] = (mark, files)
        return files


def _nothing_at(path: Path, roots: Sequence[str]) -> ModelFiles | None:
    """A report that nothing exists there: only reliable if the volume itself is visible here, and no link leads
    elsewhere."""
    try:
        root = next((Path(root) for root in roots if Path(root).is_dir() and path.is_relative_to(root)), None)
        if root is None:
            return None
        steps = [path, *path.parents]
        if any(step.is_symlink() for step in steps[: steps.index(root)]):
            return None  # it may lead to where only the container has access
    except OSError:
        return None
    return _read_model(path)


def _read_model(path: Path) -> ModelFiles:
    from gputui.models.model_files import read_model  # noqa: PLC0415 - slow to import, and many servers need none

    return read_model(path)


def _snapshot(repository: Path) -> Path:
    """The downloaded revision of a hub model (huggingface_hub, "Manage the cache"): `main` if there are several."""
    with suppress(OSError, ValueError):
        revision = (repository / "refs" / "main").read_text()[:80].strip()
        if revision and "/" not in revision and (repository / "snapshots" / revision).is_dir():
            return repository / "snapshots" / revision
    snapshots = sorted((repository / "snapshots").iterdir())
    if not snapshots:
        raise FileNotFoundError
    return snapshots[-1]


def _mark(path: Path) -> object:
    """Changes when a file of the model does."""
    from gputui.models.model_files import MOST_FILES  # noqa: PLC0415 - as above

    stat = path.stat()
    if not path.is_dir():
        return (stat.st_mtime_ns, stat.st_size)
    inner = []
    for entry in islice(os.scandir(path), MOST_FILES):
        with suppress(OSError):
            stat = entry.stat()
            inner.append((entry.name, stat.st_mtime_ns, stat.st_size))
    return tuple(sorted(inner))
