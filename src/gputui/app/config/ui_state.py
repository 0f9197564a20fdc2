"""The UI state that is kept between starts: theme, cards, columns, sort order."""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class UiState:
    """What the user chose on the screen; None means that the settings apply."""

    theme: str | None = None
    cards: str | None = None
    columns: tuple[str, ...] | None = None
    sort: str | None = None
    descending: bool = False


def ui_state_path() -> Path:
    """The path of the state file in the user's state directory; it is not meant to be edited by hand."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "gputui" / "choices.json"


def read_ui_state(path: Path) -> UiState:
    """Read the saved state; the defaults if it cannot be read."""
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
    """Save the state; if that fails, it is lost at exit."""
    text = json.dumps(asdict(state))
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
