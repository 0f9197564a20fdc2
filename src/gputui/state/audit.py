"""Who changed something and when, as it is recorded."""

import os
import pwd
from datetime import UTC, datetime
from pathlib import Path

from gputui.domain.text import moment, whole_number


def now() -> str:
    """The time in UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_since(timestamp: str) -> float:
    """Seconds since a time that `now()` wrote; infinite if it is not a valid time."""
    moment_s = moment(timestamp)
    return float("inf") if moment_s is None else datetime.now(UTC).timestamp() - moment_s


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
