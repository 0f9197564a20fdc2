"""Where the state of an engine is stored, so that everybody who may use the engine shares it."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from gputui.domain.errors import UsageError

SHARED = Path("/var/lib/gputui")


@dataclass(frozen=True, slots=True)
class StateDir:
    """A directory, and the reason why others do not share it (None if they do)."""

    path: Path
    not_shared: str | None = None


def state_dir(engine_id: str, socket: Path | None) -> StateDir:
    """`$GPUTUI_STATE_DIR`, else /var/lib/gputui/<engine id> (mode 2770, the group of the socket), else the user's own.

    Raises:
        UsageError: the directory cannot be created or written.
    """
    configured = os.environ.get("GPUTUI_STATE_DIR")
    if configured:
        return StateDir(_ensured(Path(configured)))
    safe = re.sub(r"[^A-Za-z0-9_.-]", "-", engine_id)
    shared = SHARED / safe
    try:
        if not shared.exists():
            shared.mkdir(parents=True)
            if socket is not None:
                shutil.chown(shared, group=socket.stat().st_gid)
            shared.chmod(0o2770)
        if os.access(shared, os.W_OK | os.X_OK):
            return StateDir(shared)
        reason = f"{shared} is not writable for you"
    except OSError:
        reason = f"{SHARED} cannot be written (an administrator can make it: `sudo gputui status` does)"
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return StateDir(_ensured(home / "gputui" / safe), f"other operators do not share this state: {reason}")


def _ensured(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o770)
    except OSError as error:
        raise UsageError(
            f"the state directory {path} cannot be made: {error.strerror}", "set GPUTUI_STATE_DIR"
        ) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise UsageError(f"the state directory {path} is not writable", "set GPUTUI_STATE_DIR")
    return path
