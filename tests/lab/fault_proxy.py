"""A proxy on the engine's socket that counts the requests of an apply, and breaks one of them."""

import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

Fault = Callable[[int, int], str]
"""What happens at this request (its number from 1, and the pid that made it): `forward`, `cut before` it is forwarded,
`cut after` it was carried out and before the reply, or `500`. Whatever else is to happen, the function does itself."""


class FaultProxy:
    """Listens on `path`. Requests of processes other than an apply's are passed on and not counted."""

    def __init__(self, path: Path, engine: Path, owner: int, group: int) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self.fault: Fault = lambda _number, _pid: "forward"
        self.count = 0
        self.lines: list[str] = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        os.chown(path, owner, group)
        self._server.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self, fault: Fault) -> None:
        with self._lock:
            self.fault, self.count, self.lines = fault, 0, []

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        pid = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        counted = _is_apply(pid)
        upstream: socket.socket | None = None
        with suppress(OSError, EOFError, ValueError), client:
            while True:
                request = _Message(client)
                how = self._decide(request.first_line, pid) if counted else "forward"
                if how == "cut before":
                    break
                if how == "500":
                    body = json.dumps({"message": "made up by the fault proxy"}).encode()
                    head = f"HTTP/1.1 500 Internal Server Error\r\nContent-Length: {len(body)}\r\n\r\n"
                    client.sendall(head.encode() + body)
                    continue
                if upstream is None:
                    upstream = socket.socket(socket.AF_UNIX)
                    upstream.connect(str(self._engine))
                upstream.sendall(request.read_all())
                reply = _Message(upstream)
                if reply.status == 101:
                    client.sendall(reply.head)
                    _join(client, upstream)
                    break
                if how == "cut after":
                    if "/events" not in request.first_line:  # which goes on for ever
                        reply.read_all()
                    break
                client.sendall(reply.head)
                for part in reply.parts():
                    client.sendall(part)
                if reply.until_close:
                    break
        if upstream is not None:
            upstream.close()

    def _decide(self, line: str, pid: int) -> str:
        with self._lock:
            self.count += 1
            number = self.count
            self.lines.append(line)
        return self.fault(number, pid)


def _is_apply(pid: int) -> bool:
    try:
        return b"carry-out" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


class _Message:
    """One HTTP message on a socket: its head is read, its body can be."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        data = b""
        while b"\r\n\r\n" not in data:
            more = stream.recv(65536)
            if not more:
                raise EOFError
            data += more
        head, _, self._rest = data.partition(b"\r\n\r\n")
        self.head = head + b"\r\n\r\n"
        self.first_line = head.split(b"\r\n")[0].decode(errors="replace")
        pairs = (line.partition(b":") for line in head.split(b"\r\n")[1:])
        fields = {name.strip().lower(): value.strip().lower() for name, _, value in pairs}
        words = self.first_line.split()
        self.status = int(words[1]) if words[0].startswith("HTTP/") else 0
        self._length = int(fields[b"content-length"]) if b"content-length" in fields else None
        self._chunked = fields.get(b"transfer-encoding") == b"chunked"
        bodiless = not self.status or self.status in (101, 204, 304)
        self.until_close = not bodiless and self._length is None and not self._chunked
        if bodiless and self._length is None:
            self._length = 0

    def parts(self) -> Iterator[bytes]:
        """The body, in the parts in which it comes."""
        return self._chunks() if self._chunked else self._plain()

    def read_all(self) -> bytes:
        return self.head + b"".join(self.parts())

    def _plain(self) -> Iterator[bytes]:
        left = self._length
        data = self._rest
        while left is None or left > 0:
            if data:
                yield data
                left = None if left is None else left - len(data)
            if left == 0:
                return
            data = self._stream.recv(65536)
            if not data:
                return

    def _chunks(self) -> Iterator[bytes]:
        data = self._rest
        while True:
            while b"\r\n" not in data:
                data += self._more()
            size = int(data.split(b"\r\n", 1)[0].split(b";")[0], 16)
            whole = len(data.split(b"\r\n", 1)[0]) + 2 + size + 2
            while len(data) < whole:
                data += self._more()
            yield data[:whole]
            data = data[whole:]
            if size == 0:
                return

    def _more(self) -> bytes:
        more = self._stream.recv(65536)
        if not more:
            raise EOFError
        return more


def _join(one: socket.socket, other: socket.socket) -> None:
    """Pass on what either side sends, until both are done."""

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=pump, args=(one, other), daemon=True)
    thread.start()
    pump(other, one)
    thread.join(5)
