"""Parses the frames in which an engine sends a log: the stream of a piece, its length, and the piece itself."""

import re
import struct

from gputui.domain.errors import EngineError

# Docker Engine API, "Stream format" of POST /containers/{id}/attach: stream, three zeros, length in big endian.
_HEADER = struct.Struct(">BxxxI")
HEADER_SIZE = _HEADER.size
STDOUT, STDERR = 1, 2
TERMINAL = 0
"""Output of a container with a terminal: the API sends it without frames, so this number is gputui's own."""

FRAME_LIMIT = 2**20
"""Bytes of one frame; engines split at 16 KiB, so a longer frame is not a log."""

PIECE_LIMIT = 32 * 1024
"""Bytes kept of an unfinished line; of a longer one only the end is kept, as for a progress bar."""

RawLine = tuple[int, bytes]
"""The stream, and a line as the engine sent it: its time, a space, and its bytes without the line ending."""


def framed(stream: int, piece: bytes) -> bytes:
    """A piece of a log as an engine sends it."""
    return _HEADER.pack(stream, len(piece)) + piece


class LogFrames:
    """Assembles lines from frames, which may contain partial or several lines. Each piece of a long line has its own
    timestamp; terminal output is split anywhere, and has a timestamp at the start of each line."""

    def __init__(self) -> None:
        self._remainder = b""
        self._partial: dict[int, bytes] = {}

    def feed(self, chunk: bytes) -> list[RawLine]:
        """The lines that end in this chunk."""
        data = self._remainder + chunk if self._remainder else chunk
        place, size = 0, len(data)
        lines: list[RawLine] = []
        partial, unpack = self._partial, _HEADER.unpack_from
        while size - place >= HEADER_SIZE:
            stream, length = unpack(data, place)
            if length > FRAME_LIMIT:
                raise EngineError("the engine sent a log that is not understood")
            end = place + HEADER_SIZE + length
            if end > size:
                break
            piece = data[place + HEADER_SIZE : end]
            place = end
            if stream not in partial and length and piece.find(b"\n") == length - 1:
                lines.append((stream, piece[:-1]))  # a complete line, the usual case
            else:
                self._take(stream, piece, lines)
        self._remainder = data[place:]
        return lines

    def _take(self, stream: int, piece: bytes, lines: list[RawLine]) -> None:
        start = self._partial.pop(stream, None)
        if start is not None:
            piece = start + (piece if stream == TERMINAL else without_time(piece))
        *ended, tail = piece.split(b"\n")
        lines += [(stream, line) for line in ended]
        if tail:
            self._partial[stream] = tail if len(tail) <= PIECE_LIMIT else _time_of(tail) + tail[-PIECE_LIMIT:]

    def end(self) -> list[RawLine]:
        """The unfinished lines."""
        lines = [(stream, piece) for stream, piece in self._partial.items() if piece]
        self._partial = {}
        return lines


_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d) ")
"""RFC 3339 and a space: Docker writes UTC, Podman the offset of its time zone."""


def _time_of(line: bytes) -> bytes:
    match = _TIME.match(line)
    return match[0] if match else b""


def without_time(line: bytes) -> bytes:
    """The line without its leading timestamp, if any."""
    return line[len(_time_of(line)) :]


def split_time(line: bytes) -> tuple[str | None, bytes]:
    """The time of a line, and its text."""
    head = _time_of(line)
    return (head[:-1].decode("ascii", errors="replace") if head else None), line[len(head) :]
