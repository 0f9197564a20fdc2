"""Files: replaced atomically, watched for changes, or shipped with gputui."""

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

PREFIX = ".gputui-new."


def written_beside(path: Path, text: str) -> Path:
    """Write the text to a new file beside the old one, synced to disk, with its line endings unchanged."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{PREFIX}{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o664)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def put_in_place(temporaries: Mapping[Path, Path], backup: str = ".bak") -> None:
    """Replace each file atomically; the previous one is kept under its name plus `backup`."""
    for path, temporary in temporaries.items():
        if path.exists():
            backup_path = path.with_name(path.name + backup)
            with suppress(OSError):
                backup_path.unlink(missing_ok=True)
                backup_path.hardlink_to(path)
        temporary.replace(path)
    for folder in {path.parent for path in temporaries}:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def file_mark(path: Path) -> tuple[int, int] | None:
    """Its modification time and size; None if it does not exist."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


_PACKAGE = Path(__file__).resolve().parents[1]


def packaged(folder: str) -> Path:
    """The folder `themes` or `configs`: inside the installed package, else at the top of the checkout."""
    installed = _PACKAGE / folder
    return installed if installed.is_dir() else _PACKAGE.parents[1] / folder
