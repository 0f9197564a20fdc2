"""Reads the files of models, on threads of their own: they may lie on a disk that hangs."""

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
"""Seconds after which a model's directory is looked at anew."""
MOST_REMEMBERED = 500
"""Models whose files are not read again while they stay as they are."""
PATIENCE_S = 5.0
"""Seconds after which a look that has not ended counts as not to be waited for."""

_log = logging.getLogger(__name__)


class ModelWatch(BackgroundWatch):
    """What is known of the models that were asked for. Asking starts the look; until it ended nothing is known."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._wanted: frozenset[ModelPlace] = frozenset()
        self._known: dict[ModelPlace, ModelFiles] = {}
        self._looking: set[ModelPlace] = set()
        self._differs = False
        self._marks: dict[Path, tuple[object, ModelFiles]] = {}
        self._watcher = Watcher("model files", self._look_at_all)
        self._idle = threading.Event()
        self._idle.set()

    def want(self, places: Iterable[ModelPlace]) -> None:
        """Look at these places from now on."""
        wanted = frozenset(places)
        with self._lock:
            new, self._wanted = wanted - self._wanted, wanted
            if new:
                self._idle.clear()
                self._watcher.wake()

    def look_now(self) -> None:
        """Look again at once."""
        self._watcher.wake()

    def files(self) -> Mapping[ModelPlace, ModelFiles]:
        """What is known."""
        return self._known

    def wait(self, limit_s: float) -> None:
        """Wait until every place that is wanted was looked at, at most `limit_s`."""
        self._idle.wait(limit_s)

    def _look_at_all(self) -> float:
        wanted = self._wanted
        with self._lock:
            self._known = {place: files for place, files in self._known.items() if place in wanted}
        looks = [self._start_look(place) for place in wanted if place not in self._looking]
        end = time.monotonic() + PATIENCE_S
        woken = self._watcher.woken
        while any(look.is_alive() for look in looks) and time.monotonic() < end and not woken.wait(0.02):
            pass
        with self._lock:
            if wanted == self._wanted:
                self._idle.set()
            differs, self._differs = self._differs, False
        if differs:
            self._changed()
        return LOOK_AGAIN_S

    def _start_look(self, place: ModelPlace) -> threading.Thread:
        """A thread for each place: one on a disk that hangs must not hold up the others."""
        self._looking.add(place)
        thread = threading.Thread(target=self._take_look, args=(place,), name="model", daemon=True)
        thread.start()
        return thread

    def _take_look(self, place: ModelPlace) -> None:
        try:
            found = self._look(place)
        except Exception as error:  # whatever a file brings, the others are looked at
            _log.error("a model's files cannot be read", exc_info=error)
            found = ModelFiles(path=place.paths[0], unread=clean(repr(error), 200))
        with self._lock:
            before = self._known.get(place)
            found = found if place in self._wanted else None
            known = {one: files for one, files in self._known.items() if one != place}
            self._known = known if found is None else {**known, place: found}
            self._looking.discard(place)
            differs, self._differs = self._differs or before != found, False
            if self._looking and differs:
                # The last look tells; until then the next tick shows what is known.
                self._differs, differs = True, False
        if differs:
            self._changed()

    def _look(self, place: ModelPlace) -> ModelFiles | None:
        """The first of a place's paths at which there is something; of a model named by its path, else that there is
        nothing. One of the hub that was not downloaded yet is not known."""
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
                continue  # what this user may not see is not known
            return self._read(path, mark)
        return missing

    def _read(self, path: Path, mark: object) -> ModelFiles:
        """What was read before, if nothing changed; a file that was cut off may just have been in the making."""
        before = self._marks.get(path)
        if before is not None and before[0] == mark and not before[1].problems:
            return before[1]
        found = _read_model(path)
        if len(self._marks) >= MOST_REMEMBERED:
            self._marks.clear()
        self._marks[path] = (mark, found)
        return found


def _nothing_at(path: Path, roots: Sequence[str]) -> ModelFiles | None:
    """That there is nothing: known only where the volume itself is seen from here, and no link leads elsewhere."""
    try:
        root = next((Path(one) for one in roots if Path(one).is_dir() and path.is_relative_to(one)), None)
        if root is None:
            return None
        steps = [path, *path.parents]
        if any(step.is_symlink() for step in steps[: steps.index(root)]):
            return None  # it leads to where only the container can see
    except OSError:
        return None
    return _read_model(path)


def _read_model(path: Path) -> ModelFiles:
    from gputui.models.model_files import read_model  # noqa: PLC0415 - slow to import, and many servers need none

    return read_model(path)


def _snapshot(repository: Path) -> Path:
    """The downloaded revision of a model of the hub (huggingface_hub, "Manage the cache"): `main` where there are
    several."""
    with suppress(OSError, ValueError):
        revision = (repository / "refs" / "main").read_text()[:80].strip()
        if revision and "/" not in revision and (repository / "snapshots" / revision).is_dir():
            return repository / "snapshots" / revision
    found = sorted((repository / "snapshots").iterdir())
    if not found:
        raise FileNotFoundError
    return found[-1]


def _mark(path: Path) -> object:
    """Changes when a file of the model does."""
    from gputui.models.model_files import MOST_FILES  # noqa: PLC0415 - as above

    stat = path.stat()
    if not path.is_dir():
        return (stat.st_mtime_ns, stat.st_size)
    inner = []
    for entry in islice(os.scandir(path), MOST_FILES):
        with suppress(OSError):
            one = entry.stat()
            inner.append((entry.name, one.st_mtime_ns, one.st_size))
    return tuple(sorted(inner))
