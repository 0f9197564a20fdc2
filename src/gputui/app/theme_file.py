"""Themes from YAML files."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from textual.color import Color, ColorParseError
from textual.theme import BUILTIN_THEMES, Theme

DEFAULT = "gputui-dark"
POOR = "gputui-ansi"
"""For terminals with sixteen colours, where others would be crushed into them."""
MONO = "gputui-mono"

# The one in C, where there is one: all themes are read at every start.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ThemeFile(BaseModel):
    """The keys of a theme file; colours as Textual reads them (`#rrggbb`, `ansi_blue`...). `ansi`: they are the
    terminal's own."""

    model_config = ConfigDict(extra="forbid")

    name: str
    dark: bool = True
    ansi: bool = False
    primary: str
    secondary: str
    accent: str
    foreground: str
    background: str
    surface: str
    panel: str
    success: str
    warning: str
    error: str


def read_themes(folder: Path) -> tuple[list[Theme], list[str]]:
    """The themes of a folder, and a line for each file that is wrong."""
    themes: list[Theme] = []
    faults: list[str] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            file = ThemeFile.model_validate(yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader))
            colours = file.model_dump(exclude={"name", "dark", "ansi"})
            for key, value in colours.items():
                try:
                    Color.parse(value)
                except ColorParseError:
                    raise ValueError(f"{key}: {value} is no colour") from None
            # What the terminal's own colours need besides is as Textual's themes of that kind have it.
            like = BUILTIN_THEMES["ansi-dark" if file.dark else "ansi-light"]
            variables = dict(like.variables) if file.ansi else {}
            themes.append(Theme(name=file.name, dark=file.dark, ansi=file.ansi, variables=variables, **colours))
        except (OSError, yaml.YAMLError, ValidationError, ValueError) as error:
            faults.append(f"{path.name}: {str(error).splitlines()[0]}")
    return themes, faults


def default_theme(term: str, colorterm: str, *, no_color: bool) -> str:
    """The theme that suits a terminal where nobody chose one."""
    if no_color:
        return MONO
    rich = colorterm in ("truecolor", "24bit") or "256color" in term or "direct" in term or "kitty" in term
    return DEFAULT if rich or not term else POOR
