"""The way to a container engine: docker-py's clients, what goes wrong with them, and streams."""

import logging
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import docker
import docker.errors
import requests.exceptions
import urllib3.exceptions

from gputui.containers.docker_log import log_stream
from gputui.domain.errors import EngineError, NotFound, Unreachable
from gputui.domain.log import LogWindow
from gputui.domain.text import clean

T = TypeVar("T")

# A docker.APIClient; its published types lack the raw calls, which alone can express all of a container.
Client = Any

DEFAULT_SOCKET = "unix:///var/run/docker.sock"

# A pool that is full is no news to a person, and its warning would be drawn over the screen.
logging.getLogger("urllib3").setLevel(logging.ERROR)

_FAILURES = (
    docker.errors.DockerException,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
    struct.error,  # a log whose connection broke in the middle of a frame's header
    ValueError,
)


class DockerConnection:
    """The engine that the docker command would use: `host`, else `context`, else DOCKER_HOST, else the current context.

    It connects at the first call, and again after the engine was away. Each call raises `Unreachable` where the engine
    does not answer, `NotFound` where it does not know what is named, and `EngineError` where it refuses.
    """

    def __init__(self, host: str | None, context: str | None, timeout_s: int) -> None:
        self._timeout_s = timeout_s
        self._host = host
        self._context = context
        self._version = "auto"
        self._idle: list[Client] = []
        self._told: Mapping[str, Any] | None = None

    def _connect(self) -> Client:
        """A new client; docker-py's are not promised to be safe for several threads, so that each call, and each
        stream, has one to itself. Only the first one asks the engine for its version."""
        version, timeout = self._version, self._timeout_s
        client: Client
        if self._host:
            client = docker.APIClient(base_url=self._host, version=version, timeout=timeout)
        elif self._context:
            client = docker.DockerClient.from_context(self._context, version=version, timeout=timeout).api
        else:
            client = docker.DockerClient.from_env(version=version, timeout=timeout).api
        self._version = str(client.api_version)
        return client

    def call(self, what: str, call: Callable[[Client], T]) -> T:
        """What the call returns; `what` names it where it fails."""
        client: Client | None = None
        try:
            client = self._borrowed()
            result = call(client)
        except _FAILURES as error:
            if client is not None and isinstance(error, docker.errors.APIError):
                self._idle.append(client)
            else:
                self._version, self._told = "auto", None  # what answers next may be another
                if client is not None:
                    client.close()
            raise self._translated(what, error) from error
        self._idle.append(client)
        return result

    def version(self) -> Mapping[str, Any]:
        """What the engine says of itself in `GET /version`; asked once, and again after it was away."""
        told = self._told
        if told is None:
            told = self._told = self.call("version", lambda client: client.version())
        return told

    def _borrowed(self) -> Client:
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _unreachable(self, error: Exception) -> Unreachable:
        if "ontext" in type(error).__name__:
            return Unreachable(
                f"the docker context {self._context or ''} cannot be used: {clean(str(error), 120)}",
                "see `docker context ls`",
            )
        socket = self.socket
        if socket is None:
            return Unreachable(
                f"the container engine at {self._host or os.environ.get('DOCKER_HOST')} does not answer",
                "check its address",
            )
        if _is_missing(socket):
            return Unreachable(
                f"no container engine: the socket {socket} does not exist",
                "start it with `sudo systemctl start docker`, or name another with --host or DOCKER_HOST",
            )
        if not os.access(socket, os.R_OK | os.W_OK):
            return Unreachable(
                f"no permission on the container engine's socket {socket}",
                f"ask to be added to the group {_group(socket)}, then log in again",
            )
        return Unreachable(
            f"the container engine at {socket} does not answer",
            "see `systemctl status docker`; gputui reconnects by itself",
        )

    def close(self) -> None:
        """Let go of the connections; the next call makes a new one."""
        while self._idle:
            self._idle.pop().close()

    @property
    def socket(self) -> Path | None:
        """The Unix socket, where the engine is reached by one."""
        address = self._host or (None if self._context else os.environ.get("DOCKER_HOST"))
        if address is None:
            try:
                context = docker.ContextAPI.get_context(self._context)
                address = context.Host if context else None
            except _FAILURES:
                address = None
        address = address or DEFAULT_SOCKET
        return Path(address.removeprefix("unix://")) if address.startswith("unix://") else None

    def stream(self, what: str, call: Callable[[Client], Any]) -> "DockerStream":
        """A stream, on a client of its own."""
        client: Client = None
        try:
            client = self._connect()
            return DockerStream(client, call(client))
        except _FAILURES as error:
            if client is not None:
                client.close()
            raise self._translated(what, error) from error

    def log(self, ref: str, window: LogWindow) -> "DockerStream":
        """A container's log, on a client of its own."""
        return self.stream("logs", lambda client: log_stream(client, ref, window, self._timeout_s))

    def _translated(self, what: str, error: Exception) -> Exception:
        if isinstance(error, docker.errors.NotFound):
            return NotFound(f"{what}: {_explanation(error)}")
        if isinstance(error, docker.errors.APIError):
            return EngineError(f"{what}: {_explanation(error)}")
        return self._unreachable(error)


class DockerStream:
    """A stream of the engine that can be closed from another thread."""

    def __init__(self, client: Client, stream: Any) -> None:
        self._client = client
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except _FAILURES:
            return
        finally:
            self._client.close()

    def close(self) -> None:
        """Shut the connection down, which ends the iteration."""
        try:
            self._stream.close()
        except (*_FAILURES, AttributeError):  # docker-py looks into a response that may just have ended
            return


def _explanation(error: docker.errors.APIError) -> str:
    return clean(str(error.explanation or error), 600)


def _is_missing(socket: Path) -> bool:
    try:
        return not socket.exists()
    except OSError:  # it lies in a folder that this user may not enter
        return False


def _group(socket: Path) -> str:
    try:
        return socket.group()
    except (KeyError, OSError):
        return "docker"
