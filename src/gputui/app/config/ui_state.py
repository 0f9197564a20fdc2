"""What a person chose at the screen and wants to find again: the theme, the cards, the columns."""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """None: nothing was chosen, so that the settings hold."""

    theme: str | None = None
    cards: str | None = None
    columns: tuple[str, ...] | None = None
    sort: str | None = None
    descending: bool = False


def choices_path() -> Path:
    """Where they are kept: a person's own, and no settings that anybody writes by hand."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "gputui" / "choices.json"


def read_choices(path: Path) -> Choices:
    """What was kept; nothing, where it cannot be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return Choices()
    columns = found.get("columns")
    return Choices(
        theme=_text(found.get("theme")),
        cards=_text(found.get("cards")),
        columns=tuple(map(str, columns)) if isinstance(columns, list) else None,
        sort=_text(found.get("sort")),
        descending=found.get("descending") is True,
    )


def _text(found: object) -> str | None:
    return found if isinstance(found, str) else None


def keep_choices(path: Path, choices: Choices) -> None:
    """Keep them; where that cannot be done they hold until the end."""
    text = json.dumps(asdict(choices))
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
