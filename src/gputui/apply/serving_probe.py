"""Asking a serving program whether it serves."""

from collections.abc import Iterator
from contextlib import suppress

from gputui.domain.container import Container
from gputui.domain.operation import HttpProbe

ANSWER_LIMIT_S = 1.0


def answers(container: Container, probe: HttpProbe) -> bool:
    """Whether it answers on its port: where that is published, or at the container's own address.

    Any answer but a server's error counts, one that asks for a key too; llama.cpp and TGI say 503 while they load.
    """
    return any(_serves(address, port, probe.path) for address, port in _addresses(container, probe.port))


def _addresses(container: Container, port: int) -> Iterator[tuple[str, int]]:
    for published in container.published:
        if published.container_port == port:
            everywhere = published.host_ip in ("", "0.0.0.0", "::")
            yield ("127.0.0.1" if everywhere else published.host_ip), published.host_port
    for address in container.addresses:
        yield address, port


def _serves(address: str, port: int, path: str) -> bool:
    import http.client  # noqa: PLC0415 - slow to import, and a look at the GPUs needs none of it

    connection = http.client.HTTPConnection(address, port, timeout=ANSWER_LIMIT_S)
    with suppress(OSError, http.client.HTTPException):
        try:
            connection.request("GET", path)
            return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
        finally:
            connection.close()
    return False
