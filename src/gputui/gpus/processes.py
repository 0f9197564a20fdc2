"""Who a process is, as far as an ordinary user may see it, and sending a signal to it and to no other."""

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
"""The pid namespace of the machine itself (PROC_PID_INIT_INO of Linux, include/linux/proc_ns.h)."""
_CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))


def in_container() -> bool:
    """Whether this process runs in a container (of Docker or Podman, by the file that each puts into it)."""
    return any(mark.exists() for mark in _CONTAINER_MARKS)


@lru_cache(maxsize=1)
def sees_host_processes() -> bool:
    """Whether pids of the host mean the same here: not in a container that has pids of its own."""
    if not in_container():
        return True
    try:
        return str((_PROC / "self/ns/pid").readlink()) == _HOST_PIDS
    except OSError:
        return False


def identify(process: GpuProcess) -> GpuProcess:
    """The process with what /proc tells about it; what is gone or denied stays None. Among other pids than the host's
    nothing is told: the same number is another process there."""
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
    """When the machine started, in seconds since the epoch (`btime` in /proc/stat)."""
    try:
        lines = (_PROC / "stat").read_text(errors="replace").splitlines()
    except OSError:
        return None
    return next((whole_number(line.removeprefix("btime ")) for line in lines if line.startswith("btime ")), None)


def start_time(pid: int) -> int | None:
    """Clock ticks after boot at which it started (field 22 of /proc/PID/stat)."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
        return whole_number(stat.rpartition(")")[2].split()[19], least=0)
    except (OSError, ValueError, IndexError):
        return None


@lru_cache(maxsize=4096)
def _identity(pid: int, start_time: int) -> tuple[str | None, str | None, str | None]:
    del start_time  # part of the key: a pid that is used again is another process
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
    """Send it by a handle on the process (Linux, pidfd_open), which cannot pass to another that gets its number.

    Raises:
        Refusal: it is not there any more, it is somebody else's, or nothing proves which it is.
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
            raise Refusal(f"process {pid} is another one by now")
        signal.pidfd_send_signal(handle, NUMBERS[name])
    except PermissionError:
        raise Refusal(f"process {pid} is somebody else's", "ask them, or stop the service that it belongs to") from None
    except ProcessLookupError:
        raise Refusal(f"process {pid} is not there any more") from None
    finally:
        os.close(handle)
