"""Streams the log of a container from the engine, over a docker-py client."""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import docker.errors
import docker.types
import requests
import requests.exceptions

from gputui.domain.log import LogWindow
from gputui.engine.log_frames import TERMINAL, framed

CHUNK = 256 * 1024
"""Bytes per read."""
HTTP_1_0 = 10
"""The number that http.client uses."""
UPGRADE_REQUIRED = 426
"""The response of proxies, such as Envoy, that reject HTTP/1.0 (RFC 9110, 15.5.22)."""
PAUSE_S = 0.0003
"""Between two reads. Engines send line by line, and a reader without a pause wakes up for each line. With this pause a
read returns many lines: 220 000 lines a second instead of 137 000, at a third of the CPU (`bench/logs.py`)."""


def log_stream(client: Any, ref: str, window: LogWindow, timeout_s: int) -> Iterator[bytes]:
    """The frames from the start of the window to the end of the log. docker-py's own call does not report the stream of
    each frame, and is many times slower."""
    terminal = bool(client.inspect_container(ref)["Config"].get("Tty"))
    parameters = {
        "stdout": 1, "stderr": 1, "timestamps": 1, "follow": int(window.follow),
        "tail": "all" if window.tail is None else window.tail, **({"since": int(window.since)} if window.since else {}),
    }  # fmt: skip
    url = f"{client.base_url}/v{client.api_version}/containers/{ref}/logs"
    request = client.prepare_request(requests.Request("GET", url, params=parameters))
    settings = client.merge_environment_settings(request.url, {}, True, None, None)
    response = _answer(client, request, settings, timeout_s)
    try:
        response.raise_for_status()
    except requests.exceptions.HTTPError as error:
        raise docker.errors.create_api_error_from_http_exception(error) from error
    raw = response.raw
    chunks = _unchunked(raw) if raw.version == HTTP_1_0 else raw.stream(CHUNK, decode_content=False)
    # A container with a terminal has a single stream without frames.
    frames = (framed(TERMINAL, chunk) for chunk in chunks) if terminal else chunks
    stream: Iterator[bytes] = docker.types.CancellableStream(frames, response)
    return stream


def _answer(
    client: Any, request: requests.PreparedRequest, settings: Mapping[str, Any], timeout_s: int
) -> requests.Response:
    send: Callable[[], requests.Response] = partial(client.send, request, timeout=(timeout_s, None), **settings)
    if client.base_url.startswith("http+docker://ssh"):  # its connection pools are different
        return send()
    _speak("HTTP/1.0", client, request, settings)
    response = send()
    if response.status_code != UPGRADE_REQUIRED:
        return response
    response.close()
    _speak("HTTP/1.1", client, request, settings)
    return send()


def _unchunked(raw: Any) -> Iterator[bytes]:
    while chunk := raw.read1(CHUNK, decode_content=False):
        yield chunk
        time.sleep(PAUSE_S)


def _speak(version: str, client: Any, request: requests.PreparedRequest, settings: Mapping[str, Any]) -> None:
    """Set the HTTP version of the next request. With HTTP/1.1, engines send each log line as a separate chunk
    (RFC 9112, 7.1), and decoding those is most of the work of reading; HTTP/1.0 has no chunks."""
    pool = client.get_adapter(request.url).get_connection_with_tls_context(
        request, settings["verify"], proxies=settings["proxies"], cert=settings["cert"]
    )
    connection = pool._get_conn()
    connection._http_vsn_str = version
    pool._put_conn(connection)
