"""Queries `docker compose`, if installed: its merged configuration, and its config hashes."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from gputui.domain.text import clean

LIMIT_S = 10.0
"""It takes a tenth of a second."""
_PLUGINS = (
    Path.home() / ".docker/cli-plugins",
    Path("/usr/local/lib/docker/cli-plugins"),
    Path("/usr/local/libexec/docker/cli-plugins"),
    Path("/usr/lib/docker/cli-plugins"),
    Path("/usr/libexec/docker/cli-plugins"),
)


@cache
def compose_command() -> tuple[str, ...] | None:
    """The command (the CLI plugin or the standalone program), None if neither is installed."""
    for folder in _PLUGINS:
        if os.access(folder / "docker-compose", os.X_OK):
            return (str(folder / "docker-compose"),)
    program = shutil.which("docker-compose")
    return None if program is None else (program,)


class Question:
    """A running `docker compose config`. It takes a tenth of a second, which the caller can use for other work."""

    def __init__(self, words: Sequence[str], project: str | None, environment: Mapping[str, str] | None = None) -> None:
        self._process: subprocess.Popen[str] | None = None
        command = compose_command()
        if command is None:
            return
        project_options = ["-p", project] if project else []
        try:
            self._process = subprocess.Popen(
                [*command, *words, *project_options, "config", "--format", "json"], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                env=None if environment is None else dict(environment),
            )  # fmt: skip
        except OSError:
            return

    def answer(self) -> dict[str, Any] | str | None:
        """The project; the error message if the files are rejected; None if the command cannot be run."""
        if self._process is None:
            return None
        try:
            out, err = self._process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            return None
        # Every dollar sign is doubled, in keys and in values. Some wrappers lose the exit code.
        try:
            project = json.loads(out.replace("$$", "$")) if self._process.returncode == 0 and out.strip() else None
        except (ValueError, RecursionError):
            project = None
        if isinstance(project, dict):
            return project
        lines = [line.strip() for line in err.splitlines() if line.strip() and "level=warning" not in line]
        # Version 1.x does not support `config --format json`, so its error says nothing about the files.
        if any("unknown flag" in line or "unknown option" in line.lower() for line in lines):
            return None
        return clean(" ".join(lines[-3:]), 400) or "it says nothing of the reason"


def config_hashes(files: Sequence[str], project: str | None) -> dict[str, str]:
    """The config hash of each service, by which `docker compose up` detects changes; empty if the command fails."""
    command = compose_command()
    if command is None or not files:
        return {}
    options = [word for file in files for word in ("-f", file)]
    options += ["-p", project] if project else []
    try:
        completed = subprocess.run(
            [*command, *options, "config", "--hash", "*"],
            capture_output=True, text=True, errors="replace", timeout=LIMIT_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return {}
    pairs = (line.split() for line in completed.stdout.splitlines()) if completed.returncode == 0 else iter(())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
