"""What a person chose at the screen and wants to find again: the theme, the cards, the columns."""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class UiState:
    """None: nothing was chosen, so that the settings hold."""

    theme: str | None = None
    cards: str | None = None
    columns: tuple[str, ...] | None = None
    sort: str | None = None
    descending: bool = False


def ui_state_path() -> Path:
    """Where they are kept: a person's own, and no settings that anybody writes by hand."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "gputui" / "choices.json"


def read_ui_state(path: Path) -> UiState:
    """What was kept; nothing, where it cannot be read."""
    try:
        state = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        state = None
    if not isinstance(state, dict):
        return UiState()
    columns = state.get("columns")
    return UiState(
        theme=_text(state.get("theme")),
        cards=_text(state.get("cards")),
        columns=tuple(map(str, columns)) if isinstance(columns, list) else None,
        sort=_text(state.get("sort")),
        descending=state.get("descending") is True,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def save_ui_state(path: Path, state: UiState) -> None:
    """Keep them; where that cannot be done they hold until the end."""
    text = json.dumps(asdict(state))
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
