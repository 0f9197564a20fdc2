"""Who sits at the keyboard."""

import os
import pwd
from pathlib import Path

from gputui.domain.outside import whole_number


def operator() -> str:
    """The login user behind sudo or su: the audit's login uid, else SUDO_USER, else the process's user."""
    try:
        login = whole_number(Path("/proc/self/loginuid").read_text()) or -1
    except OSError:
        login = -1
    sudo = os.environ.get("SUDO_USER", "") if os.geteuid() == 0 else ""
    for uid in (login if 0 < login < 2**32 - 1 else None, None if sudo else os.geteuid()):
        if uid is not None:
            try:
                return pwd.getpwuid(uid).pw_name
            except KeyError:
                return str(uid)
    return sudo
