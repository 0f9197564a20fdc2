"""Whether a file changed, without reading it."""

from pathlib import Path


def file_mark(path: Path) -> tuple[int, int] | None:
    """Its time of change and its size; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size
