"""Reading a log through what stands between gputui and an engine."""

import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from gputui.domain.log import LogWindow
from gputui.engine.docker_log import log_stream
from gputui.engine.log_frames import STDOUT, framed

LOG = framed(STDOUT, b"2026-01-01T00:00:00Z ready\n")
INSPECTED = b'{"Config": {"Tty": false}}'


class Proxy(socketserver.StreamRequestHandler):
    """Takes no HTTP/1.0, as Envoy by default."""

    def handle(self) -> None:
        while request := self.rfile.readline():
            while self.rfile.readline().strip():
                pass
            if request.endswith(b"HTTP/1.0\r\n"):
                self.wfile.write(b"HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                return
            body = LOG if b"/logs" in request else INSPECTED
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "proxy.sock"
    with socketserver.ThreadingUnixStreamServer(str(path), Proxy) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield path
        server.shutdown()


def test_a_proxy_that_takes_no_http_1_0_is_asked_again_in_1_1(proxy: Path) -> None:
    client = docker.APIClient(base_url=f"unix://{proxy}", version="1.41")
    assert b"".join(log_stream(client, "llm", LogWindow(), 5)) == LOG
    client.close()
