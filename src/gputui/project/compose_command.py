"""Asking `docker compose`, where it is installed: how it reads files, and the hashes by which it knows containers."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from gputui.project.compose_yaml import PlainLoader

LIMIT_S = 5.0
"""It takes a tenth of a second; the screen does not tick while it is asked."""
_PLUGINS = (
    Path.home() / ".docker/cli-plugins",
    Path("/usr/local/lib/docker/cli-plugins"),
    Path("/usr/local/libexec/docker/cli-plugins"),
    Path("/usr/lib/docker/cli-plugins"),
    Path("/usr/libexec/docker/cli-plugins"),
)


@cache
def compose_command() -> tuple[str, ...] | None:
    """The command, None where there is none: the plugin, or the program of its own."""
    for folder in _PLUGINS:
        if os.access(folder / "docker-compose", os.X_OK):
            return (str(folder / "docker-compose"),)
    found = shutil.which("docker-compose")
    return None if found is None else (found,)


def canonical(files: Sequence[str], project: str | None) -> dict[str, Any] | str | None:
    """The project as `docker compose config` has it; its message where it refuses the files; None where it cannot be
    asked."""
    # Not as JSON, which leaves the extensions (x-…) of services out.
    done = _run(files, project, "config")
    if done is None:
        return None
    try:
        found = yaml.load(done.stdout, Loader=PlainLoader)
    except yaml.YAMLError:  # some that wrap the program lose its exit code
        found = None
    if isinstance(found, dict) and done.returncode == 0:
        return found
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else "it refuses them"


def config_hashes(files: Sequence[str], project: str | None) -> dict[str, str]:
    """For each service the label by which `docker compose up` sees that nothing changed; empty where it cannot be
    asked."""
    done = _run(files, project, "config", "--hash", "*")
    if done is None or done.returncode != 0:
        return {}
    pairs = (line.split() for line in done.stdout.splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _run(files: Sequence[str], project: str | None, *arguments: str) -> "subprocess.CompletedProcess[str] | None":
    command = compose_command()
    if command is None or not files:
        return None
    named = [word for file in files for word in ("-f", file)]
    named += ["-p", project] if project else []
    try:
        return subprocess.run(
            [*command, *named, *arguments],
            capture_output=True, text=True, errors="replace", timeout=LIMIT_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
