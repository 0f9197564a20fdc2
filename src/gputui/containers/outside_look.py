"""A look into a running container from outside, which takes no process in it."""

import os
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def names_in_dev(container_id: str, pid: int) -> frozenset[str] | None:
    """What is in /dev for the main process of this container.

    None where this user may not look, which root may and whoever owns a rootless container (ptrace access mode
    PTRACE_MODE_READ_FSCREDS, proc(5)); and where the pid is not one of this container's here, for the engine runs on
    another machine or counts its pids otherwise.
    """
    folder = _PROC / str(pid)
    with suppress(OSError):
        # What the container has at this place decides nothing about where it leads: no link is followed.
        dev = os.open(folder / "root" / "dev", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            # Asked once it is open, for a pid is used again.
            if container_id in (folder / "cgroup").read_text(errors="replace"):
                return frozenset(os.listdir(dev))  # noqa: PTH208 - the open folder, whatever its path means by now
        finally:
            os.close(dev)
    return None
