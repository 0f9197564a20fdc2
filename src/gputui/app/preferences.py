"""What a person wants of the screen: one YAML file, checked, with errors that name the line."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from textual.keys import Keys

from gputui.app.keymap import CONTEXTS, PLACE
from gputui.app.own_folder import own_folder
from gputui.app.service_columns import COLUMN_TITLES
from gputui.domain.errors import UsageError
from gputui.domain.text import clean

FILE_VARIABLE = "GPUTUI_SETTINGS"


class _Part(BaseModel):
    # Descriptions, not docstrings of attributes: to read those pydantic parses this file at every start.
    model_config = ConfigDict(extra="forbid", frozen=True)


class LogPreferences(_Part):
    """The logs pane."""

    tail: int = Field(default=500, ge=1, le=20_000, description="Lines that are read at first.")
    times: bool = Field(default=False, description="With the time of each line.")
    wrap: bool = Field(default=False, description="Wrap long lines.")


class NoticePreferences(_Part):
    """How one is told what happened while one looked elsewhere."""

    bell: bool = Field(default=False, description="Ring the terminal's bell.")
    desktop: bool = Field(default=False, description="Ask the terminal for a notification of the desktop (OSC 777).")


class Preferences(_Part):
    """Settings of the screen."""

    theme: str | None = Field(default=None, description="The theme by its name; `gputui --theme` overrides it.")
    ascii: bool | None = Field(default=None, description="Only ASCII signs; by default where the locale is not UTF-8.")
    mouse: bool = Field(default=True, description="Take the mouse; without it the terminal can select text.")
    cards: Literal["auto", "cards", "rows", "line"] = Field(default="auto", description="How GPUs are shown.")
    columns: tuple[str, ...] | None = Field(
        default=None, description="The columns of the services' table, by their titles."
    )
    copy_by: Literal["none", "osc52"] = Field(
        default="none", description="How text is copied: not, or by the terminal."
    )
    log: LogPreferences = Field(default=LogPreferences(), description="The logs pane.")
    notices: NoticePreferences = Field(default=NoticePreferences(), description="How one is told what happened.")
    keys: dict[str, str] = Field(
        default={}, description="Other keys by the id of what they do, several with commas; `?` shows the ids."
    )


def preferences_path() -> Path:
    """Where the file is: $GPUTUI_SETTINGS, else `gputui/settings.yaml` in the person's configuration directory."""
    asked = os.environ.get(FILE_VARIABLE)
    return Path(asked) if asked else own_folder() / "settings.yaml"


def read_preferences(path: Path) -> Preferences:
    """The settings in a file; the defaults where there is none.

    Raises:
        UsageError: it is wrong; the line is named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Preferences()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {clean(str(error), 120)}", "mend or remove it") from None
    return parse_preferences(text, path)


def parse_preferences(text: str, path: Path) -> Preferences:
    """The settings in a text of that file.

    Raises:
        UsageError: it is wrong; the line is named.
    """
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UsageError(f"{line}: {clean(error.problem or 'no YAML', 120)}", "mend that line") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: {clean(str(error), 120)}", "mend it") from None
    if data is None:
        return Preferences()
    if not isinstance(data, dict):
        raise UsageError(f"{path}:1: settings are names with values", "write it like `theme: gputui-light`")
    try:
        found = Preferences.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = [str(part) for part in first["loc"]]
        what = "there is no such setting" if first["type"] == "extra_forbidden" else clean(first["msg"], 120)
        known = ", ".join(Preferences.model_fields)
        fix = f"settings: {known}" if first["type"] == "extra_forbidden" else "mend that line"
        raise UsageError(f"{path}:{_line_of(tree, place)}: {clean('.'.join(place), 80)}: {what}", fix) from None
    _check_keys(found, tree, path)
    return found


def _check_keys(found: Preferences, tree: Any, path: Path) -> None:
    """Each id is one, and in no part of the screen two things have one key."""
    for identity in found.keys:
        if identity not in PLACE:
            near = [one for one in sorted(PLACE) if one.split(".")[0] == identity.split(".")[0]]
            where = f"{path}:{_line_of(tree, ['keys', identity])}"
            raise UsageError(
                f"{where}: keys: nothing has the id {clean(identity, 60)}",
                f"ids: {', '.join(near[:12] or PLACE)}",
            )
        for key in found.keys[identity].split(","):
            if not is_key(key.strip()):
                where = f"{path}:{_line_of(tree, ['keys', identity])}"
                raise UsageError(
                    f"{where}: keys: “{clean(key, 40)}” is no key", "write it like x, X, f5, ctrl+x or enter"
                )
    for title in found.columns or ():
        if title not in COLUMN_TITLES:
            where = f"{path}:{_line_of(tree, ['columns', str((found.columns or ()).index(title))])}"
            raise UsageError(
                f"{where}: columns: there is no column {clean(title, 40)}", f"columns: {', '.join(COLUMN_TITLES)}"
            )
    for name, bindings in CONTEXTS.items():
        taken: dict[str, str] = {}
        for binding in bindings:
            for key in found.keys.get(binding.id or "", binding.key).split(","):
                other = taken.setdefault(key.strip(), binding.id or "")
                if other != binding.id and (binding.id in found.keys or other in found.keys):
                    asked = binding.id if binding.id in found.keys else other
                    where = f"{path}:{_line_of(tree, ['keys', str(asked)])}"
                    raise UsageError(
                        f"{where}: keys: {key.strip()} is {other} and {binding.id} ({name})",
                        "give one of them another key",
                    )


def _line_of(tree: Any, place: Sequence[str]) -> int:
    """The line on which the value of this place begins, or the last of its parents that there is."""
    line, node = 1, tree
    for part in place:
        if isinstance(node, yaml.MappingNode):
            pair = next((one for one in node.value if one[0].value == part), None)
        elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            pair = (node.value[int(part)], node.value[int(part)])
        else:
            pair = None
        if pair is None:
            return line
        line, node = pair[0].start_mark.line + 1, pair[1]
    return line


_NAMED = frozenset(str(key.value) for key in Keys) | frozenset(
    ("comma", "full_stop", "semicolon", "slash", "question_mark", "asterisk", "ampersand", "plus", "minus",
     "left_square_bracket", "right_square_bracket", "space", "enter", "escape", "tab", "backspace", "delete")
)  # fmt: skip


def is_key(text: str) -> bool:
    """Whether this is a key as Textual names them: one sign, a name, or either with ctrl, shift or alt before it."""
    *modifiers, key = text.split("+") if text != "+" else ["+"]
    if any(one not in ("ctrl", "shift", "alt", "super", "meta") for one in modifiers):
        return False
    return len(key) == 1 or key in _NAMED or text in _NAMED


def preferences_schema() -> str:
    """The JSON schema of the file, for editors."""
    schema = Preferences.model_json_schema()
    schema["properties"]["keys"] |= {"propertyNames": {"enum": sorted(PLACE)}}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
