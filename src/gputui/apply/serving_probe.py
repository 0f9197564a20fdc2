"""Asks a program over HTTP whether it serves."""

from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus

from gputui.domain.container import Container
from gputui.domain.serving import HttpProbe

ANSWER_LIMIT_S = 1.0


SERVING = (HTTPStatus.OK, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
"""It serves, or asks for a key."""
LOADING = HTTPStatus.INTERNAL_SERVER_ERROR
"""llama.cpp and TGI answer 503 while they load. At the container's own address, any status below this one is its own
answer, even for an unknown path; at a port of this machine something else may have answered."""


def answers(container: Container, probe: HttpProbe, *, is_local: bool) -> bool:
    """Whether it serves on its port, at its own address or where that port is published on this machine.

    Never probed are containers of a remote engine (`is_local`), whose addresses belong to others here, and containers
    on the host's network, where anything may have the port.
    """
    if not is_local or container.uses_host_network:
        return False
    if any(_status(address, probe.port, probe.path) < LOADING for address in container.addresses):
        return True
    return any(_status(address, port, probe.path) in SERVING for address, port in _published(container, probe.port))


def _published(container: Container, port: int) -> Iterator[tuple[str, int]]:
    for published in container.published:
        if published.container_port == port:
            everywhere = published.host_ip in ("", "0.0.0.0", "::")
            yield ("127.0.0.1" if everywhere else published.host_ip), published.host_port


NO_ANSWER = 599


def _status(address: str, port: int, path: str) -> int:
    import http.client  # noqa: PLC0415 - slow to import, and not needed to look at the GPUs

    connection = http.client.HTTPConnection(address, port, timeout=ANSWER_LIMIT_S)
    with suppress(OSError, http.client.HTTPException):
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()
    return NO_ANSWER
