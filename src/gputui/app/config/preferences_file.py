"""Parsing of the settings file: YAML, validated, with errors that name the line."""

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError
from textual.keys import Keys

from gputui.app.config.keymap import CONTEXTS, PLACE
from gputui.app.config.preferences import TAILS, Preferences
from gputui.app.render.service_columns import COLUMN_TITLES
from gputui.domain.errors import UsageError
from gputui.domain.plain_yaml import FAULTS, fault_text, load_yaml
from gputui.domain.text import clean, whole_number


def parse_preferences(text: str, path: Path) -> Preferences:
    """Parse the text of the settings file.

    Raises:
        UsageError: it is invalid; the error names the line.
    """
    try:
        data = load_yaml(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UsageError(f"{line}: {clean(error.problem or 'no YAML', 120)}", "fix that line") from None
    except FAULTS as error:
        raise UsageError(f"{path}: {clean(fault_text(error), 120)}", "correct it") from None
    if data is None:
        return Preferences()
    if not isinstance(data, dict):
        raise UsageError(f"{path}:1: settings are names with values", "write it like `theme: gputui-light`")
    try:
        preferences = TypeAdapter(Preferences).validate_python(data)
    except ValidationError as error:
        detail = error.errors()[0]
        place = [str(part) for part in detail["loc"]]
        unknown = detail["type"] == "unexpected_keyword_argument"
        problem = "there is no such setting" if unknown else clean(detail["msg"], 120)
        fix = f"settings: {', '.join(setting.name for setting in fields(Preferences))}" if unknown else "fix that line"
        raise UsageError(f"{path}:{_line_of(text, place)}: {clean('.'.join(place), 80)}: {problem}", fix) from None
    if preferences.log.tail not in TAILS:
        location = f"{path}:{_line_of(text, ['log', 'tail'])}"
        raise UsageError(f"{location}: log.tail: from {TAILS[0]} to {TAILS[-1]} lines are read", "fix that line")
    _check_keys(preferences, text, path)
    return preferences


def _check_keys(preferences: Preferences, text: str, path: Path) -> None:
    """Check that all ids, keys and columns exist, and that no context has a key twice."""
    for identity in preferences.keys:
        if identity not in PLACE:
            near = [candidate for candidate in sorted(PLACE) if candidate.split(".")[0] == identity.split(".")[0]]
            location = f"{path}:{_line_of(text, ['keys', identity])}"
            raise UsageError(
                f"{location}: keys: nothing has the id {clean(identity, 60)}",
                f"ids: {', '.join(near[:12] or PLACE)}",
            )
        for key in preferences.keys[identity].split(","):
            if not is_key(key.strip()):
                location = f"{path}:{_line_of(text, ['keys', identity])}"
                raise UsageError(
                    f"{location}: keys: “{clean(key, 40)}” is no key", "write it like x, X, f5, ctrl+x or enter"
                )
    for title in preferences.columns or ():
        if title not in COLUMN_TITLES:
            location = f"{path}:{_line_of(text, ['columns', str((preferences.columns or ()).index(title))])}"
            raise UsageError(
                f"{location}: columns: there is no column {clean(title, 40)}", f"columns: {', '.join(COLUMN_TITLES)}"
            )
    for name, bindings in CONTEXTS.items():
        owners: dict[str, str] = {}
        for binding in bindings:
            for key in preferences.keys.get(binding.id or "", binding.key).split(","):
                owner = owners.setdefault(key.strip(), binding.id or "")
                if owner != binding.id and (binding.id in preferences.keys or owner in preferences.keys):
                    culprit = binding.id if binding.id in preferences.keys else owner
                    location = f"{path}:{_line_of(text, ['keys', str(culprit)])}"
                    raise UsageError(
                        f"{location}: keys: {key.strip()} is {owner} and {binding.id} ({name})",
                        "give one of them another key",
                    )


def _line_of(text: str, place: Sequence[str]) -> int:
    """The line on which the value at this path begins, or that of its closest existing parent."""
    line, node = 1, yaml.compose(text, Loader=yaml.SafeLoader)
    for part in place:
        if isinstance(node, yaml.MappingNode):
            pair = next((entry for entry in node.value if entry[0].value == part), None)
        elif isinstance(node, yaml.SequenceNode):
            number = whole_number(part, least=0, most=len(node.value) - 1)
            pair = None if number is None else (node.value[number], node.value[number])
        else:
            pair = None
        if pair is None:
            return line
        line, node = pair[0].start_mark.line + 1, pair[1]
    return line


_KEY_NAMES = frozenset(str(key.value) for key in Keys) | frozenset(
    ("comma", "full_stop", "semicolon", "slash", "question_mark", "asterisk", "ampersand", "plus", "minus",
     "left_square_bracket", "right_square_bracket", "space", "enter", "escape", "tab", "backspace", "delete")
)  # fmt: skip


def is_key(text: str) -> bool:
    """Whether this is a Textual key name: a character or a name, optionally with modifiers such as ctrl."""
    *modifiers, key = text.split("+") if text != "+" else ["+"]
    if any(modifier not in ("ctrl", "shift", "alt", "super", "meta") for modifier in modifiers):
        return False
    return len(key) == 1 or key in _KEY_NAMES or text in _KEY_NAMES


def preferences_schema() -> str:
    """The JSON schema of the settings file, for editors."""
    schema = TypeAdapter(Preferences).json_schema()
    schema["$defs"]["LogPreferences"]["properties"]["tail"] |= {"minimum": TAILS[0], "maximum": TAILS[-1]}
    schema["properties"]["keys"] |= {"propertyNames": {"enum": sorted(PLACE)}}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
