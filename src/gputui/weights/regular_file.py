"""Opening files of others: only regular ones, so that a pipe in their place cannot hold up the reader."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from gputui.weights.errors import BadFile


def open_regular(path: Path) -> BinaryIO:
    """The file, to be read.

    Raises:
        BadFile: it is a pipe, a socket or a device.
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadFile(f"{path.name} is no regular file", "look what somebody put there")
    return os.fdopen(descriptor, "rb")
