"""gputui's own log: its internal errors, for whoever reports or fixes them."""

import logging
import os
import time
from logging import Handler, LogRecord
from pathlib import Path

from gputui.domain.text import clean, mask_script
from gputui.domain.unexpected import crash_lines

SIZE_LIMIT = 1_000_000
"""Bytes per file; a full file is rotated to `.1`, and that to `.2`."""
BACKUPS = 2

_LINE = 4000


def log_path() -> Path:
    """`$GPUTUI_STATE_DIR/log-<uid>.txt`, else `gputui/log.txt` in the user's state home (XDG base directories). It is
    private to the user: other operators must not read it."""
    directory = os.environ.get("GPUTUI_STATE_DIR")
    if directory:
        return Path(directory) / f"log-{os.getuid()}.txt"
    home = os.environ.get("XDG_STATE_HOME") or str(Path("~/.local/state").expanduser())
    return Path(home) / "gputui" / "log.txt"


class LogFile(Handler):
    """Appends records to a file of mode 0600, with secrets masked. The file is only created with its first record; if
    it cannot be written, the record is dropped."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def emit(self, record: LogRecord) -> None:
        """Write one record."""
        try:
            self._rotate()
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(handle, "a", encoding="utf-8", errors="replace") as stream:
                stream.write("".join(f"{line}\n" for line in lines_of(record)))
        except OSError:
            return

    def _rotate(self) -> None:
        try:
            if self._path.stat().st_size < SIZE_LIMIT:
                return
        except FileNotFoundError:
            return
        for number in range(BACKUPS, 0, -1):
            older = self._path if number == 1 else self._path.with_name(f"{self._path.name}.{number - 1}")
            if older.exists():
                older.replace(self._path.with_name(f"{self._path.name}.{number}"))


def lines_of(record: LogRecord) -> list[str]:
    """A record as lines: time, severity, source, and the error with its locations."""
    timestamp = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(record.created))
    text = clean(mask_script(record.getMessage().replace("\n", " ")), _LINE)
    head = f"{timestamp} {record.process} {record.levelname} {record.name} [{record.threadName}] {text}"
    error = record.exc_info[1] if record.exc_info else None
    return [head, *(f"  {line}" for line in crash_lines(error))] if error else [head]


def start_log(*, debug: bool) -> Path:
    """Write gputui's log records to its file, from warnings on, with `debug` all of them; the path of the file."""
    path = log_path()
    logger = logging.getLogger("gputui")
    logger.setLevel(logging.DEBUG if debug else logging.WARNING)
    logger.propagate = False
    logger.handlers = [LogFile(path)]
    return path
