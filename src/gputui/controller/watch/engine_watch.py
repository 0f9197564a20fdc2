"""Keeps the list of containers, and reconnects by itself after an outage of the engine."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from gputui.controller.watch.watcher import BackgroundWatch, Watcher
from gputui.domain.container import Container, ImageFacts
from gputui.domain.errors import GputuiError
from gputui.domain.snapshot import EngineStatus
from gputui.engine.protocol import Engine, Stream
from gputui.planning.changes.injection_choice import with_evidence

POLL_S = 2.0
PAUSE_S = 1.0
"""The least time between looks, however many events there are: a single apply causes a hundred."""

_log = logging.getLogger(__name__)


class EngineWatch(BackgroundWatch):
    """Lists the containers every two seconds, and sooner when the engine reports an event. `changed` is called when the
    result changed."""

    def __init__(self, engine: Engine, changed: Callable[[], None], connected: Callable[[EngineStatus], None]) -> None:
        self.engine = engine
        self._changed = changed
        self._connected = connected
        self._watcher = Watcher("containers", self._look, least_pause_s=PAUSE_S)
        self._learning = threading.Lock()
        self._events: Stream | None = None
        self._state: object = None
        self.status = EngineStatus(reason="connecting to the container engine", pending=True)
        self.containers: tuple[Container, ...] = ()
        """The containers at the engine's last answer."""
        self.first_answer = threading.Event()
        self.images: Mapping[str, ImageFacts] = {}
        """What is known of the requested images."""
        self._wanted_images: frozenset[str] = frozenset()

    @property
    def program(self) -> str:
        """The name of its command line, `docker` if it is not known."""
        return self.status.info.name if self.status.info else "docker"

    def want_images(self, names: frozenset[str]) -> None:
        """Inspect these images at the next look."""
        if not names <= self._wanted_images:
            self._wanted_images = names
            self._watcher.wake()

    def _look(self) -> float:
        try:
            self._ask()
        except GputuiError as error:
            self._mark_lost(error.what, error.fix)
        except Exception:
            self._mark_lost("the engine gave an answer that gputui does not understand", "see gputui's log")
            raise
        finally:
            state = (self.status, self.containers, self.images)
            if state != self._state:
                self._state = state
                self._changed()
            self.first_answer.set()
        return POLL_S

    def _ask(self) -> None:
        status: EngineStatus | None = None
        if self.status.info is None:
            status = EngineStatus(info=self.engine.info())
            self._connected(status)
        self.containers = self.engine.containers()
        # Only now: a connected engine whose containers are unknown would look as if it had none.
        if status is not None:
            self.status = status
        self._learn_from(self.containers)
        new = {name: facts for name in self._wanted_images - self.images.keys() if (facts := self._facts(name))}
        if new:
            self.images = {**self.images, **new}
        if self._events is None:
            self._follow_events()

    def _facts(self, image: str) -> ImageFacts | None:
        """None if it does not exist, so that it is looked up again."""
        environment = self.engine.image_environment(image)
        return (
            None
            if environment is None
            else ImageFacts(frozenset(environment), environment.get("NVIDIA_VISIBLE_DEVICES"))
        )

    def _mark_lost(self, reason: str, fix: str) -> None:
        """Keep the last known containers, because they may still run."""
        self.status = EngineStatus(reason=reason, fix=fix)
        self.containers = tuple(replace(container, is_last_seen=True) for container in self.containers)
        self._events = None

    def _follow_events(self) -> None:
        events = self.engine.events()
        self._events = events

        def follow() -> None:
            try:
                for _ in events:
                    self._watcher.wake()
            except Exception as error:  # the list of containers is still polled every other second
                _log.warning("the engine's events cannot be followed", exc_info=error)
            finally:
                if self._events is events:
                    self._events = None

        threading.Thread(target=follow, name="engine-events", daemon=True).start()

    def learn(self, *, nvidia_driver: bool) -> None:
        """Record whether it has NVIDIA's device driver."""
        with self._learning:
            info = self.status.info
            if info is not None and info.capabilities.nvidia_driver is None:
                can = replace(info.capabilities, nvidia_driver=nvidia_driver)
                self.status = replace(self.status, info=replace(info, capabilities=can))

    def find_out_driver(self) -> None:
        """Find out whether the engine supports requests for NVIDIA's driver, if that is not known. This creates a
        container that cannot start, so merely watching never does it."""
        info = self.status.info
        if info is None or info.capabilities.nvidia_driver is not None:
            return
        has_driver = self.engine.has_nvidia_driver()
        if has_driver is not None:
            self.learn(nvidia_driver=has_driver)

    def _learn_from(self, containers: Sequence[Container]) -> None:
        if self.status.info is not None and with_evidence(self.status.info.capabilities, containers).nvidia_driver:
            self.learn(nvidia_driver=True)

    def look_now(self) -> None:
        """List the containers again soon."""
        self._watcher.wake()

    def close(self) -> None:
        """Stop."""
        super().close()
        if self._events is not None:
            self._events.close()
