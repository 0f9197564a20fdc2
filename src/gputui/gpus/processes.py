"""Identifies processes, as far as an unprivileged user may, and sends signals to them safely."""

import os
import pwd
import re
import signal
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from gputui.domain.errors import Refusal
from gputui.domain.gpu import GpuProcess, ProcessSignal
from gputui.domain.text import clean, mask_command, whole_number

_PROC = Path("/proc")

# cgroup v1 "/docker/<id>", v2 "docker-<id>.scope", Podman "libpod-<id>", Kubernetes "cri-containerd-<id>".
_CONTAINER = re.compile(r"(?:/|-)([0-9a-f]{64})(?:\.scope)?(?:/|$)")


_TICKS = os.sysconf("SC_CLK_TCK")
_HOST_PIDS = "pid:[4026531836]"
"""The initial pid namespace of the machine (PROC_PID_INIT_INO of Linux, include/linux/proc_ns.h)."""
_CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))


def in_container() -> bool:
    """Whether this process runs in a Docker or Podman container, detected by the marker file of each."""
    return any(mark.exists() for mark in _CONTAINER_MARKS)


@lru_cache(maxsize=1)
def sees_host_processes() -> bool:
    """Whether host pids are valid here, that is, not in a container with its own pid namespace."""
    if not in_container():
        return True
    try:
        return str((_PROC / "self/ns/pid").readlink()) == _HOST_PIDS
    except OSError:
        return False


def identify(process: GpuProcess) -> GpuProcess:
    """The process with its details from /proc; what is missing or denied stays None. In a different pid namespace
    nothing is added, because the same pid is another process there."""
    if not sees_host_processes():
        return process
    began_ticks = start_time(process.pid)
    if began_ticks is None:
        return process
    user, command, container = _identity(process.pid, began_ticks)
    boot = _boot_time()
    started_at = None if boot is None else boot + began_ticks / _TICKS
    return replace(
        process, start_time=began_ticks, started_at=started_at, user=user, command=command, container_id=container
    )


@lru_cache(maxsize=1)
def _boot_time() -> int | None:
    """The boot time of the machine in seconds since the epoch (`btime` in /proc/stat)."""
    try:
        lines = (_PROC / "stat").read_text(errors="replace").splitlines()
    except OSError:
        return None
    return next((whole_number(line.removeprefix("btime ")) for line in lines if line.startswith("btime ")), None)


def start_time(pid: int) -> int | None:
    """The start time of a process in clock ticks after boot (field 22 of /proc/PID/stat)."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
        return whole_number(stat.rpartition(")")[2].split()[19], least=0)
    except (OSError, ValueError, IndexError):
        return None


@lru_cache(maxsize=4096)
def _identity(pid: int, start_time: int) -> tuple[str | None, str | None, str | None]:
    del start_time  # part of the cache key: a reused pid is another process
    folder = _PROC / str(pid)
    try:
        uid = folder.stat().st_uid
        words = (folder / "cmdline").read_bytes().split(b"\0")
        arguments = mask_command([word.decode(errors="replace") for word in words if word])
        command = " ".join(arguments)
        command = command or (folder / "comm").read_text(errors="replace").strip()
        container = container_of((folder / "cgroup").read_text(errors="replace"))
    except OSError:
        return None, None, None
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    return clean(user, 64), clean(command, 512), container


def container_of(cgroup: str) -> str | None:
    """The container id in the text of /proc/PID/cgroup, if there is one."""
    for line in cgroup.splitlines():
        match = _CONTAINER.search(line)
        if match:
            return match.group(1)
    return None


NUMBERS: dict[ProcessSignal, signal.Signals] = {
    "TERM": signal.SIGTERM, "INT": signal.SIGINT, "KILL": signal.SIGKILL,
}  # fmt: skip


def send_signal(pid: int, started: int | None, name: ProcessSignal) -> None:
    """Send a signal through a process handle (Linux, pidfd_open), which stays valid even if the pid is reused.

    Raises:
        Refusal: the process has exited, belongs to someone else, or cannot be identified.
    """
    if started is None or not sees_host_processes():
        raise Refusal(f"what process {pid} is cannot be seen from here", "send it on the host itself")
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        raise Refusal(f"process {pid} is not there any more") from None
    except OSError as error:
        raise Refusal(f"process {pid} cannot be reached: {error.strerror}") from None
    try:
        if start_time(pid) != started:
            raise Refusal(f"process {pid} is a different process now")
        signal.pidfd_send_signal(handle, NUMBERS[name])
    except PermissionError:
        raise Refusal(f"process {pid} is somebody else's", "ask them, or stop the service that it belongs to") from None
    except ProcessLookupError:
        raise Refusal(f"process {pid} is not there any more") from None
    finally:
        os.close(handle)
