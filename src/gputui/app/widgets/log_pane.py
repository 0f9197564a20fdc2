"""The log of one service, as it grows."""

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Log, Static

from gputui.control.room import ControlRoom
from gputui.domain.errors import GputuiError
from gputui.domain.service import Service, ServiceKey

FLUSH_S = 0.25
"""Four times a second is as smooth to the eye as a hundred small writes, at a fraction of the bytes."""
KEPT_LINES = 5_000


class LogPane(Vertical):
    """Follows the log of the service that it is given; a new container of it is followed from its first line."""

    def __init__(self, room: ControlRoom, **options: str) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._room = room
        self._key: ServiceKey | None = None
        self._container: tuple[str, str | None] | None = None
        self._feed: int | None = None
        self._dropped = 0

    def compose(self) -> ComposeResult:
        """A title and the lines."""
        yield Static("", classes="log-title", markup=False)
        yield Log(max_lines=KEPT_LINES, highlight=False)

    def on_mount(self) -> None:
        """Begin to empty the feed."""
        self.set_interval(FLUSH_S, self._flush)

    def follow(self, service: Service | None) -> None:
        """Follow this service's present container; nothing happens where that is being done already."""
        container = service.container if service else None
        identity = (container.id, container.started_at) if container else None
        key = service.key if service else None
        not_started = key == self._key and container is not None and container.started_at is None
        if (key, identity) == (self._key, self._container) or not_started:
            return
        is_new_container = key == self._key and self._container is not None and identity is not None
        self._key, self._container = key, identity
        self._let_go()
        log = self.query_one(Log)
        if is_new_container:
            log.write_line("— a new container —")
        else:
            log.clear()
        self._title(service.name if service else "no service")
        if key is None:
            return
        if identity is None:
            log.write_line("no container yet")
            return
        try:
            # It only begins: the engine is asked by a thread of the feed.
            self._feed = self._room.follow_log(key, KEPT_LINES if is_new_container else 500)
        except GputuiError as error:
            log.write_line(f"— {error.what} —")

    def _title(self, name: str) -> None:
        dropped = f", {self._dropped} lines dropped" if self._dropped else ""
        self.query_one(".log-title", Static).update(f" log of {name}{dropped}")

    def _flush(self) -> None:
        if self._feed is None or not self.is_attached:
            return
        batch = self._room.read_log(self._feed)
        if batch.lines:
            self.query_one(Log).write_lines(batch.lines)
        if batch.dropped and self._key is not None:
            self._dropped += batch.dropped
            self._title(self._key.name)
        if batch.ended:
            self.query_one(Log).write_line("— end —")
            self._let_go()

    def _let_go(self) -> None:
        if self._feed is not None:
            self._room.close_log(self._feed)
            self._feed = None

    def stop(self) -> None:
        """Follow nothing: a pane that is not seen reads nothing."""
        self._container = None
        self._key = None
        self._let_go()

    def on_unmount(self) -> None:
        """Let go of the feed."""
        self._let_go()
