"""Themes from YAML files."""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from textual.color import Color, ColorParseError
from textual.theme import Theme


class ThemeFile(BaseModel):
    """The keys of a theme file; colours as Textual reads them (`#rrggbb`, `ansi_blue`...)."""

    model_config = ConfigDict(extra="forbid")

    name: str
    dark: bool = True
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
            file = ThemeFile.model_validate(yaml.safe_load(path.read_text()))
            colours = file.model_dump(exclude={"name", "dark"})
            for key, value in colours.items():
                try:
                    Color.parse(value)
                except ColorParseError:
                    raise ValueError(f"{key}: {value} is no colour") from None
            themes.append(Theme(name=file.name, dark=file.dark, **colours))
        except (OSError, yaml.YAMLError, ValidationError, ValueError) as error:
            faults.append(f"{path.name}: {str(error).splitlines()[0]}")
    return themes, faults
