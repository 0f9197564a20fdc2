"""The settings of the screen with their defaults, and the configuration directory."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gputui.domain.errors import UsageError
from gputui.domain.text import clean

FILE_VARIABLE = "GPUTUI_SETTINGS"

_CONFIG = {"extra": "forbid", "use_attribute_docstrings": True}
"""How pydantic reads the file, and describes each setting to editors. Pydantic is not imported here: it would delay the
first frame, and most users have no such file."""

TAILS = range(1, 20_001)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPreferences:
    """The logs pane."""

    __pydantic_config__ = _CONFIG

    tail: int = 500
    """Lines that are read at first."""
    times: bool = False
    """With the time of each line."""
    wrap: bool = False
    """Wrap long lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticePreferences:
    """How one is told what happened while one looked elsewhere."""

    __pydantic_config__ = _CONFIG

    bell: bool = False
    """Ring the terminal's bell."""
    desktop: bool = False
    """Ask the terminal for a notification of the desktop (OSC 777)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """Settings of the screen."""

    __pydantic_config__ = _CONFIG

    theme: str | None = None
    """The theme by its name; `gputui --theme` overrides it."""
    ascii: bool | None = None
    """Only ASCII signs; by default where the locale is not UTF-8 and on the Linux console."""
    mouse: bool = True
    """Take the mouse; without it the terminal can select text."""
    cards: Literal["auto", "cards", "rows", "line"] = "auto"
    """How GPUs are shown."""
    columns: tuple[str, ...] | None = None
    """The columns of the services' table, by their titles."""
    copy_by: Literal["none", "osc52"] = "none"
    """How text is copied: not, or by the terminal."""
    log: LogPreferences = LogPreferences()
    """The logs pane."""
    notices: NoticePreferences = NoticePreferences()
    """How one is told what happened."""
    keys: dict[str, str] = field(default_factory=dict)
    """Other keys by the id of what they do, several with commas; `?` shows the ids."""


def preferences_path() -> Path:
    """The path of the file: $GPUTUI_SETTINGS, else `gputui/settings.yaml` in the user's configuration directory."""
    override = os.environ.get(FILE_VARIABLE)
    return Path(override) if override else config_dir() / "settings.yaml"


def read_preferences(path: Path) -> Preferences:
    """Read the settings from a file, or return the defaults if there is none.

    Raises:
        UsageError: the file is invalid; the error names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Preferences()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {clean(str(error), 120)}", "fix or remove it") from None
    from gputui.app.config.preferences_file import parse_preferences  # noqa: PLC0415

    return parse_preferences(text, path)


def config_dir() -> Path:
    """`gputui` in the user's configuration directory (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "gputui"
