"""The file sets of `tests/compose_corpus`, and what two readings of one set have to have in common.

A set is a folder. `files.txt` names its files in their order, as `-f` would; without it they are found as Compose finds
them. `environment.txt` holds variables of the environment (`NAME=value` lines). Each set of `refused` has a
`refused.txt`: its first line is where the fault is (`file:line`, `file:first-last`, several with commas between them),
each further line is a text that the message has to contain.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1] / "compose_corpus"
WRAPPER = Path(sys.executable).parent / "docker-compose"
"""What is installed. It is slow to start, and loses the exit code of the program that it starts."""
HOME = "/home/somebody"
SECTIONS = ("networks", "volumes", "configs", "secrets")
"""Of these, one that is not there is the same as one that is empty. Nothing else is passed over."""

_BASES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)


@dataclass(frozen=True)
class Laid:
    """A set as it lies in a folder of its own."""

    folder: Path
    files: tuple[Path, ...]
    environment: dict[str, str]

    @property
    def is_found(self) -> bool:
        """Whether nobody names its files."""
        return not (self.folder / "files.txt").exists()


def names(kind: str) -> list[str]:
    """The sets of `public` or of `refused`."""
    return sorted(path.name for path in (ROOT / kind).iterdir() if path.is_dir())


def laid_out(kind: str, name: str, under: Path) -> Laid:
    """A copy of a set; its folder is called `stack`, whatever the set is called."""
    folder = under / "stack"
    shutil.copytree(ROOT / kind / name, folder)
    environment = {"HOME": HOME, "PATH": os.environ["PATH"], **_pairs(folder / "environment.txt")}
    listed = folder / "files.txt"
    if listed.exists():
        files = tuple(folder / line for line in listed.read_text().splitlines() if line)
    else:
        files = tuple(_found(folder, environment))
    return Laid(folder, files, environment)


def _pairs(path: Path) -> dict[str, str]:
    lines = path.read_text().splitlines() if path.exists() else []
    return dict(line.split("=", 1) for line in lines if re.match(r"[A-Za-z_]\w*=", line))


def _found(folder: Path, environment: dict[str, str]) -> Iterator[Path]:
    """The files of a folder by Compose's rules, as far as the corpus needs them."""
    variables = {**_pairs(folder / ".env"), **environment}
    if "COMPOSE_FILE" in variables:
        separator = variables.get("COMPOSE_PATH_SEPARATOR", ":")
        yield from (folder / name for name in variables["COMPOSE_FILE"].split(separator))
        return
    for candidates in (_BASES, _OVERRIDES):
        yield from [folder / name for name in candidates if (folder / name).exists()][:1]


def _program() -> Path:
    package = find_spec("compose")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "docker-compose"


def by_program(laid: Laid, *, named: bool = True) -> dict[str, Any] | str:
    """What the real program prints, or why it refuses; asked here without any code of gputui."""
    arguments = [word for file in laid.files for word in ("-f", str(file))] if named else []
    done = subprocess.run(
        [str(_program()), *arguments, "config", "--format", "json"],
        cwd=laid.folder, env=laid.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        return done.stderr.replace(str(laid.folder), "@")
    found = json.loads(done.stdout.replace("$$", "$"))
    assert isinstance(found, dict)
    return found


def differences(ours: Any, theirs: Any, folder: Path) -> list[str]:
    """Where two readings differ, each as `path: ours … theirs …`, with paths from the set's folder."""
    return list(_differences("", _relative(ours, str(folder)), _relative(theirs, str(folder))))


def _differences(where: str, ours: Any, theirs: Any) -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys(), key=str):
            one, two = (side.get(key, _NOTHING) for side in (ours, theirs))
            if not where and key in SECTIONS:
                one, two = ({} if side in (None, _NOTHING) else side for side in (one, two))
            yield from _differences(f"{where}.{key}" if where else str(key), one, two)
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for place, (one, two) in enumerate(zip(ours, theirs, strict=True)):
            yield from _differences(f"{where}[{place}]", one, two)
    elif isinstance(ours, bool) is not isinstance(theirs, bool) or ours != theirs:
        yield f"{where}: ours {_shown(ours)}, docker compose's {_shown(theirs)}"


class _Nothing:
    pass


_NOTHING = _Nothing()


def _shown(value: Any) -> str:
    return "nothing" if value is _NOTHING else repr(value)


def _relative(value: Any, folder: str) -> Any:
    if isinstance(value, dict):
        return {key: _relative(inner, folder) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_relative(inner, folder) for inner in value]
    return value.replace(folder, "@") if isinstance(value, str) else value


@dataclass(frozen=True)
class Fault:
    """Where a refused set is wrong, and what its message says."""

    places: tuple[tuple[str, int, int], ...]
    texts: tuple[str, ...]

    def missing(self, message: str) -> list[str]:
        """What the message does not say."""
        named = {(file, int(line)) for file, line in re.findall(r"([\w.-]*\w):(\d+)", message)}
        told = any(file == name and first <= line <= last for name, line in named for file, first, last in self.places)
        shown = [f"{file}:{first}" if first == last else f"{file}:{first}-{last}" for file, first, last in self.places]
        lacking = [] if told else [" or ".join(shown)]
        return lacking + [text for text in self.texts if text not in message]


def fault(name: str) -> Fault:
    """What `refused.txt` of a set says."""
    first, *texts = (ROOT / "refused" / name / "refused.txt").read_text().splitlines()
    places = []
    for place in first.split(","):
        file, _, lines = place.partition(":")
        start, _, end = lines.partition("-")
        places.append((file, int(start), int(end or start)))
    return Fault(tuple(places), tuple(text for text in texts if text))
