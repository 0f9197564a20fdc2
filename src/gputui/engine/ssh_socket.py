"""Reaches an engine on another machine through OpenSSH."""

import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from gputui.domain.errors import Unreachable
from gputui.domain.text import clean

CONNECT_LIMIT_S = 20.0
DEFAULT_SOCKET = "/var/run/docker.sock"
_HOST = re.compile(r"^[A-Za-z0-9_\[][A-Za-z0-9_.:\[\]-]*$")
_USER = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.@-]*$")


class SshSocket:
    """A local Unix socket that `ssh` forwards to the engine's. A call over it takes a millisecond, whereas the Docker
    SDK starts an `ssh` process each time.

    Raises:
        Unreachable: the address is not valid, or `ssh` is not installed.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        host, user = parts.hostname or "", parts.username
        try:
            port = parts.port
        except ValueError:
            port, host = None, ""
        if not _HOST.match(host) or (user is not None and not _USER.match(user)):
            raise Unreachable(f"{clean(url, 120)} names no machine", "write it like ssh://user@host")
        program = shutil.which("ssh")
        if program is None:
            raise Unreachable(
                f"there is no ssh on this machine to reach {clean(url, 120)} by", "install OpenSSH's client"
            )
        self._host = f"{user}@{host}" if user else host
        self._folder = tempfile.TemporaryDirectory(prefix="gputui-ssh-", ignore_cleanup_errors=True)
        self._path = Path(self._folder.name) / "engine.sock"
        remote = parts.path if parts.path not in ("", "/") else DEFAULT_SOCKET
        self._command = [
            program, "-T", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-o", "StreamLocalBindUnlink=yes",
            "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3",
            *(["-p", str(port)] if port else []), "-L", f"{self._path}:{remote}", "--", self._host, "cat",
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()

    def connected(self) -> Path:
        """The socket, with `ssh` connected; `ssh` is restarted if it has exited.

        Raises:
            Unreachable: `ssh` cannot connect; the message has the reason.
        """
        with self._starting:
            if self._process is None or self._process.poll() is not None:
                # The remote `cat` exits when its input closes, that is with this process, however that ends.
                self._process = subprocess.Popen(
                    self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
                )
                self._wait(self._process)
            return self._path

    def _wait(self, process: "subprocess.Popen[bytes]") -> None:
        end = time.monotonic() + CONNECT_LIMIT_S
        while time.monotonic() < end:
            if process.poll() is not None:
                assert process.stderr is not None
                lines = process.stderr.read(4000).decode(errors="replace").strip().splitlines()
                reason = clean(lines[-1], 200) if lines else f"it ended with code {process.returncode}"
                raise Unreachable(
                    f"ssh cannot reach {self._host}: {reason}", f"see whether `ssh {self._host} docker ps` works"
                )
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(str(self._path))
                except OSError:
                    time.sleep(0.05)
                    continue
            return
        process.kill()
        raise Unreachable(f"ssh does not connect to {self._host}", f"see whether `ssh {self._host} docker ps` works")

    def close(self) -> None:
        """Stop `ssh`."""
        with self._starting:
            if self._process is not None:
                self._process.kill()
                self._process.wait()
                self._process = None
