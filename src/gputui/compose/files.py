"""Finds the Compose files of a project and the variables to read them with, by Compose's own rules."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gputui.domain.errors import UsageError
from gputui.domain.text import clean

DEFAULT_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
"""In the order in which Compose looks for them (compose-go, cli/options.go)."""
OVERRIDE_NAMES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
_OPTIONAL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class ComposeFiles:
    """The files of a project; later ones override earlier ones. `is_named`: they were given with --file."""

    paths: tuple[Path, ...] = ()
    is_named: bool = True

    @property
    def directory(self) -> Path:
        """The project directory, which is that of the first file."""
        return self.paths[0].absolute().parent

    def words(self) -> list[str]:
        """The options that make `docker compose` read the same files."""
        return [word for path in self.paths for word in ("-f", str(path))] if self.is_named else []


def compose_files(explicit_names: Sequence[str], directory: Path, environment: Mapping[str, str]) -> ComposeFiles:
    """The explicit files, else those of COMPOSE_FILE, else the default file of this directory or of its nearest parent
    that has one, with its override; none if nothing is found."""
    if explicit_names:
        return ComposeFiles(tuple(Path(name) for name in explicit_names))
    try:
        names = _from_variable(directory, environment)
        if names:
            return ComposeFiles(tuple(directory / name for name in names), is_named=False)
        for folder in (directory.absolute(), *directory.absolute().parents):
            first = next((folder / name for name in DEFAULT_NAMES if (folder / name).is_file()), None)
            if first is not None:
                over = next((folder / name for name in OVERRIDE_NAMES if (folder / name).is_file()), None)
                return ComposeFiles((first, over) if over else (first,), is_named=False)
    except OSError:
        return ComposeFiles()
    return ComposeFiles()


def _from_variable(directory: Path, environment: Mapping[str, str]) -> list[str]:
    if "COMPOSE_FILE" in environment:
        variables = environment
    elif (directory / ".env").is_file():
        from gputui.compose.env_file import read_env_file  # noqa: PLC0415 - most directories have none

        variables = {**read_env_file(directory / ".env", environment, required=False, location=".env"), **environment}
    else:
        return []
    file_list = variables.get("COMPOSE_FILE", "")
    return [name for name in file_list.split(variables.get("COMPOSE_PATH_SEPARATOR") or os.pathsep) if name]


def variables_of(files: ComposeFiles, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables for interpolation: the environment, then those of `.env` files.

    Raises:
        UsageError: a required env file cannot be read.
    """
    from gputui.compose.env_file import read_env_file  # noqa: PLC0415 - it would delay the first frame

    if environment.get("COMPOSE_ENV_FILES"):
        paths = [(Path(name), True) for name in environment["COMPOSE_ENV_FILES"].split(",") if name]
    elif environment.get("COMPOSE_DISABLE_ENV_FILE", "").lower() in ("1", "true"):
        paths = []
    else:
        folders = [files.directory] if files.is_named else [Path.cwd(), files.directory]
        paths = [(folder / ".env", False) for folder in dict.fromkeys(folders)]
    variables = dict(environment)
    for path, required in paths:
        variables = {**read_env_file(path, variables, required=required, location=path.name), **variables}
    return variables


def usable_name(name: str) -> str:
    """A project name without the characters that Compose drops."""
    return re.sub(r"[^a-z0-9_-]", "", name.lower()).lstrip("_-")


def checked_name(name: str, source: str) -> str:
    """An explicit project name, validated.

    Raises:
        UsageError: Compose rejects it.
    """
    if not _OPTIONAL_NAME.fullmatch(name):
        raise UsageError(
            f"{source}: “{clean(name, 60)}” is no name of a project",
            "use lower-case letters, digits, - and _, and begin with a letter or digit",
        )
    return name
