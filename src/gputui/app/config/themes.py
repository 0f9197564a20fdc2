"""Themes from YAML files."""

from pathlib import Path
from typing import Any

import yaml
from textual.color import Color, ColorParseError
from textual.theme import BUILTIN_THEMES, Theme

from gputui.domain.plain_yaml import FAULTS, fault_text, load_yaml
from gputui.domain.text import clean

DEFAULT = "gputui-dark"
POOR = "gputui-ansi"
"""For terminals with sixteen colours, which cannot show the other themes."""
MONO = "gputui-mono"

# The C loader if available: all themes are read at every start.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


COLOURS = (
    "primary", "secondary", "accent", "foreground", "background", "surface", "panel", "success", "warning", "error",
)  # fmt: skip
SWITCHES = ("dark", "ansi")


def read_themes(folder: Path) -> tuple[list[Theme], list[str]]:
    """The themes of a directory, and an error line for each invalid file."""
    themes: list[Theme] = []
    faults: list[str] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            themes.append(_theme(load_yaml(path.read_text(encoding="utf-8"), _Loader)))
        except (OSError, *FAULTS) as error:
            faults.append(f"{path.name}: {clean(fault_text(error), 120)}")
    return themes, faults


def _theme(entries: object) -> Theme:
    """Build a theme from the keys of its file: `name`, the colours in Textual's notation (`#rrggbb`, `ansi_blue`...),
    `dark`, and `ansi` if they are the terminal's own colours.

    Validated by hand: pydantic, which nothing else needs before the first frame, would delay it by a fifth.

    Raises:
        ValueError: a key is missing, unknown or has an invalid value.
    """
    if not isinstance(entries, dict):
        raise ValueError("a theme is keys with values")
    unknown = next((key for key in entries if key not in ("name", *COLOURS, *SWITCHES)), None)
    if unknown is not None:
        raise ValueError(f"{unknown}: there is no such key")
    for key in ("name", *COLOURS):
        if not isinstance(entries.get(key), str):
            raise ValueError(f"{key}: {'a text is expected' if key in entries else 'it is missing'}")
    for key in SWITCHES:
        if not isinstance(entries.get(key, True), bool):
            raise ValueError(f"{key}: true or false is expected")
    for key in COLOURS:
        try:
            Color.parse(entries[key])
        except ColorParseError:
            raise ValueError(f"{key}: {entries[key]} is no colour") from None
    dark, ansi = entries.get("dark", True), entries.get("ansi", False)
    # Themes in the terminal's own colours need the variables of Textual's ANSI themes.
    base = BUILTIN_THEMES["ansi-dark" if dark else "ansi-light"]
    variables = dict(base.variables) if ansi else _scrollbars(entries)
    return Theme(**{**entries, "dark": dark, "ansi": ansi, "variables": variables})


def _scrollbars(entries: dict[str, str]) -> dict[str, str]:
    """Scrollbar tracks in the panel colour: Textual's are darker than the background, so black in a dark theme."""
    names = (
        "scrollbar-background",
        "scrollbar-background-hover",
        "scrollbar-background-active",
        "scrollbar-corner-color",
    )
    return dict.fromkeys(names, entries["panel"])


def default_theme(term: str, colorterm: str, *, no_color: bool) -> str:
    """The default theme for a terminal."""
    if no_color:
        return MONO
    rich = colorterm in ("truecolor", "24bit") or "256color" in term or "direct" in term or "kitty" in term
    return DEFAULT if rich or not term else POOR
