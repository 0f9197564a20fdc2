"""Where a person's own settings and themes lie."""

import os
from pathlib import Path


def own_folder() -> Path:
    """`gputui` in the person's configuration directory (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "gputui"
