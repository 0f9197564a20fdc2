"""The connection to a container engine: docker-py clients, their errors, and streams."""

import logging
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import docker
import docker.errors
import docker.tls
import requests.exceptions
import urllib3.exceptions

from gputui.domain.errors import EngineError, NotFound, Unreachable
from gputui.domain.log import LogWindow
from gputui.domain.text import clean
from gputui.engine.docker_log import log_stream
from gputui.engine.engine_address import EngineAddress
from gputui.engine.ssh_socket import SshSocket

T = TypeVar("T")

# A docker.APIClient; its type stubs lack the raw calls, which are needed to express every container setting.
Client = Any

# A full connection pool is harmless, and its warning would be drawn over the screen.
logging.getLogger("urllib3").setLevel(logging.ERROR)

_FAILURES = (
    docker.errors.DockerException,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
    struct.error,  # a log connection that broke within a frame header
    ValueError,
    Unreachable,  # over SSH
)


class DockerConnection:
    """The engine at an address.

    It connects on the first call, and reconnects after the engine was unavailable. Each call raises `Unreachable` if
    the engine does not answer, `NotFound` if it does not know the named object, and `EngineError` if it refuses.
    """

    def __init__(self, address: EngineAddress, timeout_s: int) -> None:
        self._timeout_s = timeout_s
        self._address = address
        self._ssh: SshSocket | None = None
        self._version = "auto"
        self._idle: list[Client] = []
        self._version_info: Mapping[str, Any] | None = None

    def _connect(self) -> Client:
        """A new client. docker-py does not guarantee thread safety, so each call and each stream has its own client.
        Only the first one queries the engine for its version."""
        version, timeout = self._version, self._timeout_s
        client: Client
        if self._address.from_environment and not self._address.url.startswith("ssh://"):
            environment = {**os.environ, "DOCKER_HOST": self._address.url}
            client = docker.DockerClient.from_env(version=version, timeout=timeout, environment=environment).api
        else:
            client = docker.APIClient(base_url=self._url(), version=version, timeout=timeout, tls=self._tls())
        self._version = str(client.api_version)
        return client

    def _url(self) -> str:
        if not self._address.url.startswith("ssh://"):
            return self._address.url
        self._ssh = self._ssh or SshSocket(self._address.url)
        return f"unix://{self._ssh.connected()}"

    def _tls(self) -> "docker.tls.TLSConfig | bool":
        folder = self._address.certificates
        if folder is None:
            return False
        files = {
            kind: str(folder / f"{kind}.pem") for kind in ("ca", "cert", "key") if (folder / f"{kind}.pem").is_file()
        }
        pair = (files["cert"], files["key"]) if files.keys() >= {"cert", "key"} else None
        return docker.tls.TLSConfig(client_cert=pair, ca_cert=files.get("ca"), verify=self._address.verify)

    def call(self, action: str, call: Callable[[Client], T]) -> T:
        """The result of the call; `action` describes it in errors."""
        client: Client | None = None
        try:
            client = self._borrowed()
            result = call(client)
        except _FAILURES as error:
            if client is not None and isinstance(error, docker.errors.APIError):
                self._idle.append(client)
            else:
                self._version, self._version_info = "auto", None  # another engine may answer next time
                if client is not None:
                    client.close()
            raise self._translated(action, error) from error
        self._idle.append(client)
        return result

    def version(self) -> Mapping[str, Any]:
        """The result of `GET /version`, cached until the connection is lost."""
        version_info = self._version_info
        if version_info is None:
            version_info = self._version_info = self.call("version", lambda client: client.version())
        return version_info

    def _borrowed(self) -> Client:
        with suppress(IndexError):
            return self._idle.pop()
        return self._connect()

    def _unreachable(self, error: Exception) -> Unreachable:
        if isinstance(error, Unreachable):
            return error
        socket = self._address.socket
        if socket is None:
            return Unreachable(
                f"the container engine at {clean(self._address.url, 120)} ({self._address.source}) does not answer: "
                f"{clean(_cause(error), 160)}",
                "check its address, and whether it can be reached from here",
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
        """Close the connections; the next call opens a new one."""
        while self._idle:
            self._idle.pop().close()
        if self._ssh is not None:
            self._ssh.close()

    def stream(self, action: str, call: Callable[[Client], Any]) -> "DockerStream":
        """A stream, on its own client."""
        client: Client = None
        try:
            client = self._connect()
            return DockerStream(client, call(client))
        except _FAILURES as error:
            if client is not None:
                client.close()
            raise self._translated(action, error) from error

    def log(self, ref: str, window: LogWindow) -> "DockerStream":
        """The log of a container, on its own client."""
        return self.stream("logs", lambda client: log_stream(client, ref, window, self._timeout_s))

    def _translated(self, action: str, error: Exception) -> Exception:
        if isinstance(error, docker.errors.NotFound):
            return NotFound(f"{action}: {_explanation(error)}")
        if isinstance(error, docker.errors.APIError):
            return EngineError(f"{action}: {_explanation(error)}")
        return self._unreachable(error)


class DockerStream:
    """A stream from the engine that can be closed from another thread."""

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
        """Shut down the connection, which ends the iteration."""
        try:
            self._stream.close()
        except (*_FAILURES, AttributeError):  # docker-py accesses a response that may just have ended
            return


def _cause(error: BaseException) -> str:
    """The root cause of an error, whose message is the meaningful one."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return f"{type(error).__name__}: {error}"


def _explanation(error: docker.errors.APIError) -> str:
    return clean(str(error.explanation or error), 600)


def _is_missing(socket: Path) -> bool:
    try:
        return not socket.exists()
    except OSError:  # it is in a directory that this user may not enter
        return False


def _group(socket: Path) -> str:
    try:
        return socket.group()
    except (KeyError, OSError):
        return "docker"
