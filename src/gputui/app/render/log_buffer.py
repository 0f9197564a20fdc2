"""The lines of a log pane: bounded, filtered and searchable. Independent of widgets."""

import json
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gputui.app.render.matching import filter_of, pattern_of
from gputui.domain.log import LogLine, LogStream
from gputui.domain.text import clean, moment

LINES = 20_000
CHARACTERS = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Entry:
    """A log line, or a remark of gputui (with an empty `source`)."""

    source: str
    text: str
    stream: LogStream = "stdout"
    at: str | None = None


class LogBuffer:
    """Keeps the newest lines within limits and counts the dropped ones. `visible` are those that pass the filter."""

    def __init__(self, lines: int = LINES, characters: int = CHARACTERS) -> None:
        self._limit = lines
        self._max_characters = characters
        self._entries: deque[Entry] = deque()
        self._size = 0
        self._passes = filter_of("")
        self.filter_text = ""
        self.visible: deque[Entry] = deque()
        self.evicted = 0
        """Lines dropped from the front of `visible`, to keep positions in it valid."""
        self.forgotten = 0
        """All lines dropped from the buffer, whether visible or not."""
        self.dropped = 0
        """Lines that the feed dropped because they came too fast."""

    def add(self, source: str, lines: Iterable[LogLine]) -> int:
        """Append lines; returns how many pass the filter."""
        return self.take_over([Entry(source, line.text, line.stream, line.at) for line in lines])

    def take_over(self, entries: Sequence[Entry]) -> int:
        """Append entries; returns how many pass the filter."""
        passing = [entry for entry in entries if not entry.source or self._passes(entry.text)]
        self._entries.extend(entries)
        self._size += sum(len(entry.text) for entry in entries)
        self.visible.extend(passing)
        while len(self._entries) > self._limit or self._size > self._max_characters:
            oldest = self._entries.popleft()
            self._size -= len(oldest.text)
            self.forgotten += 1
            if self.visible and self.visible[0] is oldest:
                self.visible.popleft()
                self.evicted += 1
        return len(passing)

    def remark(self, text: str) -> None:
        """Append a remark, which no filter hides."""
        self.take_over([Entry("", text)])

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> Sequence[Entry]:
        """All lines in the buffer."""
        return self._entries

    def clear(self) -> None:
        """Remove all lines and reset the counters."""
        self._entries.clear()
        self.visible.clear()
        self._size = self.evicted = self.forgotten = self.dropped = 0

    def set_filter(self, text: str) -> None:
        """Set the filter."""
        self.filter_text = text
        self._passes = filter_of(text)
        self.visible = deque(entry for entry in self._entries if not entry.source or self._passes(entry.text))
        self.evicted = 0

    def matches(self, text: str) -> list[int]:
        """The indexes in `visible` of the lines that match."""
        pattern = pattern_of(text)
        if pattern is None:
            return []
        return [place for place, entry in enumerate(self.visible) if pattern.search(entry.text)]


def merged(buffers: Iterable["LogBuffer"]) -> list[Entry]:
    """The lines of several logs by timestamp; a line without one stays after its predecessor."""
    timed: list[tuple[float, int, Entry]] = []
    for buffer in buffers:
        timestamp = 0.0
        for entry in buffer.entries:
            timestamp = (moment(entry.at) if entry.at else None) or timestamp
            timed.append((timestamp, len(timed), entry))
    return [entry for _, _, entry in sorted(timed, key=lambda timed_entry: timed_entry[:2])]


def pretty(text: str) -> tuple[str, ...]:
    """A line that is or ends in JSON, pretty-printed; any other line unchanged."""
    start = next((place for place, sign in enumerate(text) if sign in "{["), None)
    if start is None or text[-1:] not in "}]":
        return (text,)
    try:
        value = json.loads(text[start:])
    except (ValueError, RecursionError):
        return (text,)
    if not value or not isinstance(value, (dict, list)):
        return (text,)
    # JSON escapes can yield control characters that the line itself does not contain.
    lines = [clean(line) for line in json.dumps(value, indent=2, ensure_ascii=False).splitlines()]
    head = text[:start].rstrip()
    return (f"{head} {lines[0]}" if head else lines[0], *lines[1:])
