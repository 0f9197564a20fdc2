"""The frames in which an engine sends a log: which stream a piece is of, its length, and the piece itself."""

import re
import struct

from gputui.domain.errors import EngineError

# Docker Engine API, "Stream format" of POST /containers/{id}/attach: stream, three zeros, length in big endian.
_HEADER = struct.Struct(">BxxxI")
HEADER_SIZE = _HEADER.size
STDOUT, STDERR = 1, 2
TERMINAL = 0
"""What a container with a terminal wrote: the API sends it without frames, so this number is ours."""

FRAME_LIMIT = 2**20
"""Bytes of one frame; engines cut at 16 KiB, so that a longer one is no log."""

PIECE_LIMIT = 32 * 1024
"""Bytes kept of a line that does not end; of what is longer the end counts, as of a progress bar."""

RawLine = tuple[int, bytes]
"""The stream, and a line as the engine sent it: its time, a blank, and its bytes without the line end."""


def framed(stream: int, piece: bytes) -> bytes:
    """A piece of a log as an engine sends it."""
    return _HEADER.pack(stream, len(piece)) + piece


class LogFrames:
    """Makes lines of frames, which need be neither whole lines nor single ones. Each piece of a long line comes with a
    time of its own; what a terminal wrote is cut anywhere, and has a time at the beginning of each line."""

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
                lines.append((stream, piece[:-1]))  # a whole line, as nearly all are
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
        """The lines that were begun and do not end."""
        lines = [(stream, piece) for stream, piece in self._partial.items() if piece]
        self._partial = {}
        return lines


_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d) ")
"""RFC 3339 and a blank: Docker writes it in UTC, Podman with the offset of its own zone."""


def _time_of(line: bytes) -> bytes:
    match = _TIME.match(line)
    return match[0] if match else b""


def without_time(line: bytes) -> bytes:
    """The line without the time before it, where it has one."""
    return line[len(_time_of(line)) :]


def split_time(line: bytes) -> tuple[str | None, bytes]:
    """The time of a line, and its text."""
    head = _time_of(line)
    return (head[:-1].decode("ascii", errors="replace") if head else None), line[len(head) :]
