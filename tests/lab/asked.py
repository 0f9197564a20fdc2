"""What gputui answers, as its JSON says it, and `docker compose` beside it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.lab.conftest import Lab
from tests.lab.engine import as_user


def told(lab: Lab, *arguments: str, **variables: str) -> dict[str, Any]:
    """The JSON that it prints, whatever its exit code is."""
    done = lab.gputui(*arguments, "--json", **variables)
    assert done.stdout.startswith("{"), (done.returncode, done.stdout, done.stderr)
    return dict(json.loads(done.stdout))


def findings(lab: Lab, *options: str, code: str | None = None, service: str | None = None) -> list[dict[str, Any]]:
    """What it finds: of this code, about this service."""
    return chosen(told(lab, *options, "findings"), code, service)


def chosen(said: dict[str, Any], code: str | None = None, service: str | None = None) -> list[dict[str, Any]]:
    """The findings of an answer: of this code, about this service."""
    listed = [one for one in said["findings"] if code in (None, one["code"])]
    return [one for one in listed if service in (None, one["service"])]


def service(lab: Lab, name: str, *options: str) -> dict[str, Any]:
    """What `services` says of it."""
    return dict(next(one for one in told(lab, *options, "services")["services"] if one["name"] == name))


def run_of(lab: Lab, ref: str) -> tuple[str, str]:
    """Its id and when it was started: what was neither made anew nor stopped has the same."""
    found = lab.inspect(ref)
    return found["Id"], found["State"]["StartedAt"]


def compose_command(lab: Lab) -> str:
    """The `docker-compose` of the package, where the user can run it."""
    installed = lab.folder / "bin" / "docker-compose"
    if not installed.exists():
        package = next(Path(sys.executable).parents[1].glob("lib/python3*/site-packages/compose"))
        binary = max((path for path in package.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
        shutil.copy(binary, installed)
        installed.chmod(0o755)
    return str(installed)


def tried_compose(lab: Lab, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`docker compose` as the same ordinary user, whatever comes of it."""
    command = as_user([compose_command(lab), *arguments])
    return subprocess.run(
        command, cwd=folder, env=lab.environment(), capture_output=True, text=True, check=False, timeout=180
    )


def docker_compose(lab: Lab, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`docker compose` as the same ordinary user; it has to succeed."""
    done = tried_compose(lab, folder, *arguments)
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def words(errors: Sequence[dict[str, Any]]) -> str:
    """Findings as one text, for what a person has to be able to read in them."""
    return " ".join(f"{one['text']} {one['fix']}" for one in errors)
