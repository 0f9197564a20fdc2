"""gputui's own log: what went wrong inside it, for whoever reports or mends it."""

import logging
import os
import time
from logging import Handler, LogRecord
from pathlib import Path

from gputui.domain.text import clean, mask_script
from gputui.domain.unexpected import crash_lines

SIZE_LIMIT = 1_000_000
"""Bytes of one file; it is then kept as `.1`, and that as `.2`."""
BACKUPS = 2

_LINE = 4000


def log_path() -> Path:
    """`$GPUTUI_STATE_DIR/log-<uid>.txt`, else `gputui/log.txt` in the user's state home (XDG base directories). It is
    the user's alone: what happens to one operator is not everybody's to read."""
    directory = os.environ.get("GPUTUI_STATE_DIR")
    if directory:
        return Path(directory) / f"log-{os.getuid()}.txt"
    home = os.environ.get("XDG_STATE_HOME") or str(Path("~/.local/state").expanduser())
    return Path(home) / "gputui" / "log.txt"


class LogFile(Handler):
    """Appends records to a file of mode 0600, with secrets masked. The file is opened for the first record, so that a
    gputui of which nothing is to be told writes nothing; one that cannot be written is done without."""

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
    """A record as lines: when, how grave, who, and the error with its places."""
    timestamp = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(record.created))
    text = clean(mask_script(record.getMessage().replace("\n", " ")), _LINE)
    head = f"{timestamp} {record.process} {record.levelname} {record.name} [{record.threadName}] {text}"
    error = record.exc_info[1] if record.exc_info else None
    return [head, *(f"  {line}" for line in crash_lines(error))] if error else [head]


def start_log(*, debug: bool) -> Path:
    """Have what gputui's modules log written to its file, from warnings on; with `debug` everything. The path."""
    path = log_path()
    logger = logging.getLogger("gputui")
    logger.setLevel(logging.DEBUG if debug else logging.WARNING)
    logger.propagate = False
    logger.handlers = [LogFile(path)]
    return path
