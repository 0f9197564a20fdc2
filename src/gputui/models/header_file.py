"""Opens untrusted model files, only if they are regular files, so that a pipe cannot block the reader; and the tensors
that a header lists."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gputui.domain.errors import GputuiError


def open_regular(path: Path) -> BinaryIO:
    """The file, opened for reading.

    Raises:
        BadFile: it is a pipe, a socket or a device.
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadFile(f"{path.name} is not a regular file", "look what somebody put there")
    return os.fdopen(descriptor, "rb")


class UnknownKind(GputuiError):
    """A file that may be valid, but has a format that gputui cannot read."""


class BadFile(GputuiError):
    """A file that is truncated, damaged, or malicious."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: its number of stored elements, its size in bytes, and its number of dimensions."""

    name: str
    dtype: str
    elements: int
    size: int
    rank: int = 1
