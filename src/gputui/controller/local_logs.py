"""Reads logs, each on a thread of its own into a bounded buffer, which is drained at the screen's pace."""

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator

from gputui.controller.local_watch import LocalWatch
from gputui.controller.saved_state import SavedState
from gputui.domain.errors import GputuiError, UsageError
from gputui.domain.log import LogBatch, LogLine, LogWindow
from gputui.domain.service import ServiceKey
from gputui.domain.text import clean, clean_log_line
from gputui.engine.log_frames import STDERR, LogFrames, RawLine, split_time
from gputui.engine.protocol import Engine, Stream

BUFFER_LINES = 5_000
BUFFER_BYTES = 8 * 2**20

Batch = tuple[list[RawLine], int]
"""Lines that arrived together, and their bytes."""


class WaitingLines:
    """The newest unread lines, in the batches in which they arrived, so that a flood costs little per line."""

    def __init__(self) -> None:
        self._batches: deque[Batch] = deque()
        self._lines = 0
        self._bytes = 0
        self.dropped = 0
        """The number of dropped lines."""

    def add(self, lines: list[RawLine]) -> None:
        """Add lines, dropping the oldest beyond the limits."""
        if not lines:
            return
        self._keep(lines, self._batches.append)
        while self._lines > BUFFER_LINES or self._bytes > BUFFER_BYTES:
            oldest, size = self._batches.popleft()
            self._lines -= len(oldest)
            self._bytes -= size
            fits = max(0, BUFFER_LINES - self._lines) if self._bytes + size <= BUFFER_BYTES else 0
            self.dropped += len(oldest) - fits
            if fits:
                self._keep(oldest[-fits:], self._batches.appendleft)

    def _keep(self, lines: list[RawLine], put: Callable[[Batch], None]) -> None:
        size = sum([len(line) for _, line in lines])
        put((lines, size))
        self._lines += len(lines)
        self._bytes += size

    def lines(self) -> Iterator[RawLine]:
        """The buffered lines, oldest first."""
        return itertools.chain.from_iterable(batch for batch, _ in self._batches)


class LogFeed:
    """One log being followed. Lines are buffered raw: those that nobody will see need not be cleaned."""

    def __init__(self, engine: Engine, ref: str, window: LogWindow) -> None:
        self._lock = threading.Lock()
        self._waiting = WaitingLines()
        self._ended = False
        self._fault: str | None = None
        self._stream: Stream | None = None
        self._closed = False
        threading.Thread(target=self._run, args=(engine, ref, window), name="log", daemon=True).start()

    def _run(self, engine: Engine, ref: str, window: LogWindow) -> None:
        try:
            stream = engine.follow_log(ref, window)
            with self._lock:
                self._stream = stream
                closed = self._closed
            if closed:
                stream.close()
            frames = LogFrames()
            for chunk in stream:
                self._add(frames.feed(chunk))
            self._add(frames.end())
        except GputuiError as error:
            self._fault = error.what
        except Exception as error:  # an invalid answer of the engine
            self._fault = f"the log is not understood: {clean(repr(error), 200)}"
        finally:
            with self._lock:
                self._ended = True

    def _add(self, lines: list[RawLine]) -> None:
        with self._lock:
            self._waiting.add(lines)

    def take(self) -> LogBatch:
        """What arrived since the last call."""
        with self._lock:
            waiting, self._waiting = self._waiting, WaitingLines()
            ended, fault = self._ended, self._fault
            self._fault = None
        lines = [log_line(line) for line in waiting.lines()]
        if fault is not None:
            lines.append(LogLine(f"— {fault} —", "stderr"))
        return LogBatch(lines=tuple(lines), dropped=waiting.dropped, ended=ended)

    def close(self) -> None:
        """Stop reading."""
        with self._lock:
            self._closed = True
            stream = self._stream
        if stream is not None:
            stream.close()


def log_line(raw: RawLine) -> LogLine:
    """A line, cleaned for display."""
    timestamp, text = split_time(raw[1])
    return LogLine(clean_log_line(text), "stderr" if raw[0] == STDERR else "stdout", timestamp)


class LocalLogs:
    """Implements `Logs`: the feeds by number, and what the state kept."""

    def __init__(self, engine: Engine, watch: LocalWatch, saved: SavedState) -> None:
        self._engine = engine
        self._watch = watch
        self._saved = saved
        self._numbers = itertools.count(1)
        self._feeds: dict[int, LogFeed] = {}

    def follow(self, key: ServiceKey, window: LogWindow) -> int:
        """Begin to read a service's log; the feed's number."""
        container = self._watch.service(key).container
        if container is None:
            raise UsageError(f"{key.name} has no container, so it has no log", "create it with `gputui apply`")
        number = next(self._numbers)
        self._feeds[number] = LogFeed(self._engine, container.id, window)
        return number

    def read(self, feed: int) -> LogBatch:
        """What arrived since the last read."""
        log = self._feeds.get(feed)
        return log.take() if log else LogBatch(ended=True)

    def close(self, feed: int) -> None:
        """Stop reading a log."""
        log = self._feeds.pop(feed, None)
        if log:
            log.close()

    def close_all(self) -> None:
        """Stop reading all of them."""
        for feed in list(self._feeds):
            self.close(feed)

    def previous(self, key: ServiceKey) -> tuple[LogLine, ...]:
        """The last lines of this service's previous container."""
        log = self._saved.opened().applies.last_kept_log(key)
        return tuple(LogLine(clean_log_line(line)) for line in log.splitlines())

    def kept(self, apply_id: int) -> dict[str, tuple[str, ...]]:
        """The last lines of the containers that an apply removed, by service."""
        logs = self._saved.opened().applies.kept_logs(apply_id)
        return {name: tuple(clean_log_line(line) for line in log.splitlines()) for name, log in logs.items()}
