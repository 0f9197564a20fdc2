"""Reading a Compose project: by `docker compose` where it is installed, else by gputui's own reader, to one form."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gputui.compose.canonical import read_model
from gputui.compose.docker_compose import Question
from gputui.compose.document import Located, load, without_tags
from gputui.compose.files import ComposeFiles
from gputui.compose.gpu_requests import requested_devices
from gputui.compose.merging import deep
from gputui.compose.project import project_of
from gputui.domain.compose import ComposeProject
from gputui.domain.errors import UsageError


def read_own(
    files: Sequence[Path], project_name: str | None, environment: Mapping[str, str], *, named: bool = True
) -> Located:
    """The canonical form by gputui's own reader.

    Raises:
        UsageError: a file cannot be read, or says something that is wrong; it names file, line and key.
    """
    return read_model(ComposeFiles(tuple(files), named), project_name, environment)


def read_docker_compose(
    files: Sequence[Path], project_name: str | None, environment: Mapping[str, str], *, named: bool = True
) -> dict[str, Any] | str | None:
    """The canonical form by `docker compose`; its message where it refuses; None where it cannot be asked."""
    return Question(ComposeFiles(tuple(files), named).words(), project_name, environment).answer()


def read_project(
    files: ComposeFiles, project_name: str | None = None, environment: Mapping[str, str] | None = None
) -> ComposeProject:
    """The project that these files describe together, later ones over earlier ones.

    Raises:
        UsageError: a file cannot be read, or says something that is wrong; it names file, line and key. Or
            `docker compose`, where it is installed, refuses them.
    """
    variables = os.environ if environment is None else environment
    question = Question(files.words(), project_name, environment)
    own: Located | UsageError
    try:
        own = read_model(files, project_name, variables)
    except UsageError as error:
        own = error
    theirs = question.answer()
    if isinstance(theirs, str):
        if isinstance(own, UsageError):
            raise own
        raise UsageError(f"docker compose refuses {_names(files)}: {theirs}", "correct the file, or name another one")
    if theirs is not None:
        return project_of(_completed(theirs, own, files), files)
    if isinstance(own, UsageError):
        raise own
    return project_of(own, files)


def _names(files: ComposeFiles) -> str:
    return ", ".join(path.name for path in files.paths)


def _completed(theirs: Mapping[str, Any], own: Located | UsageError, files: ComposeFiles) -> Located:
    """What `docker compose` prints, with what it leaves out: the lines of keys, `x-gputui`, and requests for 0 GPUs."""
    lines = own if isinstance(own, Located) else None
    whole: Located = _located(theirs, lines, files.paths[0].name)
    extensions = own if isinstance(own, Located) else _extensions(files)
    if "x-gputui" in extensions:
        whole["x-gputui"] = extensions["x-gputui"]
    for name, entry in (extensions.get("services") or {}).items():
        service = whole.get("services", {}).get(name)
        if not isinstance(entry, Located) or not isinstance(service, Located):
            continue
        for key in entry:
            if key.startswith("x-"):
                service[key] = entry[key]
                service.take_place(entry, key)
        if lines is not None:
            _restore_counts(service, entry)
    return whole


def _located(value: Any, lines: Any, file: str) -> Any:
    if isinstance(value, Mapping):
        made = Located(lines.file if isinstance(lines, Located) else file)
        for key, inner in value.items():
            known = lines.get(key) if isinstance(lines, Mapping) else None
            made[str(key)] = _located(inner, known, made.file)
            if isinstance(lines, Located) and key in lines:
                made.take_place(lines, key)
        return made
    if isinstance(value, list):
        same = isinstance(lines, list) and len(lines) == len(value)
        return [_located(inner, lines[at] if same else None, file) for at, inner in enumerate(value)]
    return value


def _requests(service: Mapping[str, Any]) -> list[Any]:
    return [*(service.get("gpus") or []), *requested_devices(service.get("deploy"))]


def _restore_counts(service: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    for theirs, ours in zip(_requests(service), _requests(own), strict=False):
        if "count" not in theirs and ours.get("count") == 0:
            theirs["count"] = 0


def _extensions(files: ComposeFiles) -> Located:
    """`x-gputui` of files of which `docker compose` reads something that gputui's own reader does not."""
    found = Located(files.paths[0].name)
    for path in files.paths:
        try:
            documents = load(path)
        except UsageError:
            continue
        for document in documents:
            plain, _ = without_tags(document)
            found = deep(found, _only_extensions(plain))
    return found


def _only_extensions(document: Located) -> Located:
    made = Located(document.file)
    if "x-gputui" in document:
        made["x-gputui"] = document["x-gputui"]
        made.take_place(document, "x-gputui")
    services = document.get("services")
    made["services"] = Located(document.file)
    for name, entry in services.items() if isinstance(services, Located) else ():
        if isinstance(entry, Located) and "x-gputui" in entry:
            made["services"][name] = Located(document.file, {"x-gputui": entry["x-gputui"]})
            made["services"][name].take_place(entry, "x-gputui")
    return made
