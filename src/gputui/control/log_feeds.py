"""Logs being read: each by a thread of its own into a bounded buffer, which the screen empties at its own pace."""

import itertools
import threading
from collections import deque

from gputui.containers.engine import Engine, Stream
from gputui.domain.errors import GputuiError
from gputui.domain.log import LogBatch
from gputui.domain.text import LINE_LIMIT, clean_log_line

BUFFER_LINES = 5_000


class LogFeed:
    """One log being followed."""

    def __init__(self, engine: Engine, ref: str, tail: int) -> None:
        self._lock = threading.Lock()
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._ended = False
        self._stream: Stream | None = None
        self._closed = False
        threading.Thread(target=self._run, args=(engine, ref, tail), name="log", daemon=True).start()

    def _run(self, engine: Engine, ref: str, tail: int) -> None:
        try:
            stream = engine.follow_log(ref, tail)
            with self._lock:
                self._stream = stream
                closed = self._closed
            if closed:
                stream.close()
            self._read(stream)
        except GputuiError as error:
            self._add(f"— {error.what} —")
        finally:
            with self._lock:
                self._ended = True

    def _read(self, stream: Stream) -> None:
        rest = b""
        for chunk in stream:
            # A chunk need not be a line, and a line need not end: what is too long is cut here, not collected.
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._add(clean_log_line(line))
            if len(rest) > LINE_LIMIT * 4:
                rest = rest[-LINE_LIMIT:]
        if rest:
            self._add(clean_log_line(rest))

    def _add(self, line: str) -> None:
        with self._lock:
            if len(self._lines) >= BUFFER_LINES:
                self._lines.popleft()
                self._dropped += 1
            self._lines.append(line)

    def take(self) -> LogBatch:
        """What came since the last time."""
        with self._lock:
            batch = LogBatch(lines=tuple(self._lines), dropped=self._dropped, ended=self._ended)
            self._lines.clear()
            self._dropped = 0
            return batch

    def close(self) -> None:
        """Stop reading."""
        with self._lock:
            self._closed = True
            stream = self._stream
        if stream is not None:
            stream.close()


class LogFeeds:
    """The feeds by number."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._numbers = itertools.count(1)
        self._feeds: dict[int, LogFeed] = {}

    def open(self, ref: str, tail: int) -> int:
        """Begin to follow a container's log; the feed's number."""
        number = next(self._numbers)
        self._feeds[number] = LogFeed(self._engine, ref, tail)
        return number

    def read(self, number: int) -> LogBatch:
        """What came since the last read."""
        feed = self._feeds.get(number)
        return feed.take() if feed else LogBatch(ended=True)

    def close(self, number: int) -> None:
        """Stop one."""
        feed = self._feeds.pop(number, None)
        if feed:
            feed.close()

    def close_all(self) -> None:
        """Stop all."""
        for number in list(self._feeds):
            self.close(number)
