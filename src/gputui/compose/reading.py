"""Reads a Compose project with `docker compose`, if installed, else with gputui's own reader, into the same form."""

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
    files: Sequence[Path], project_name: str | None, environment: Mapping[str, str], *, is_named: bool = True
) -> Located:
    """The canonical form by gputui's own reader.

    Raises:
        UsageError: a file cannot be read or is invalid; the message names file, line and key.
    """
    return read_model(ComposeFiles(tuple(files), is_named), project_name, environment)


def read_docker_compose(
    files: Sequence[Path], project_name: str | None, environment: Mapping[str, str], *, is_named: bool = True
) -> dict[str, Any] | str | None:
    """The canonical form by `docker compose`; its error message if it rejects the files; None if it cannot be run."""
    return Question(ComposeFiles(tuple(files), is_named).words(), project_name, environment).answer()


def read_project(
    files: ComposeFiles, project_name: str | None = None, environment: Mapping[str, str] | None = None
) -> ComposeProject:
    """The project that these files describe together; later files override earlier ones.

    Raises:
        UsageError: a file cannot be read or is invalid (the message names file, line and key), or `docker compose`,
            if installed, rejects the files.
    """
    variables = os.environ if environment is None else environment
    question = Question(files.words(), project_name, environment)
    own_model: Located | UsageError
    try:
        own_model = read_model(files, project_name, variables)
    except UsageError as error:
        own_model = error
    docker_model = question.answer()
    if isinstance(docker_model, str):
        if isinstance(own_model, UsageError):
            raise own_model
        raise UsageError(
            f"docker compose refuses {_names(files)}: {docker_model}", "correct the file, or name another one"
        )
    if docker_model is not None:
        return project_of(_completed(docker_model, own_model, files), files)
    if isinstance(own_model, UsageError):
        raise own_model
    return project_of(own_model, files)


def _names(files: ComposeFiles) -> str:
    return ", ".join(path.name for path in files.paths)


def _completed(docker_model: Mapping[str, Any], own_model: Located | UsageError, files: ComposeFiles) -> Located:
    """The output of `docker compose` plus what it omits: the lines of keys, `x-gputui`, and requests for 0 GPUs."""
    lines = own_model if isinstance(own_model, Located) else None
    model: Located = _located(docker_model, lines, files.paths[0].name)
    extensions = own_model if isinstance(own_model, Located) else _extensions(files)
    if "x-gputui" in extensions:
        model["x-gputui"] = extensions["x-gputui"]
    for name, entry in (extensions.get("services") or {}).items():
        service = model.get("services", {}).get(name)
        if not isinstance(entry, Located) or not isinstance(service, Located):
            continue
        for key in entry:
            if key.startswith("x-"):
                service[key] = entry[key]
                service.take_place(entry, key)
        if lines is not None:
            _restore_counts(service, entry)
    return model


def _located(value: Any, lines: Any, file: str) -> Any:
    if isinstance(value, Mapping):
        located = Located(lines.file if isinstance(lines, Located) else file)
        for key, inner in value.items():
            inner_lines = lines.get(key) if isinstance(lines, Mapping) else None
            located[str(key)] = _located(inner, inner_lines, located.file)
            if isinstance(lines, Located) and key in lines:
                located.take_place(lines, key)
        return located
    if isinstance(value, list):
        has_same_length = isinstance(lines, list) and len(lines) == len(value)
        return [_located(inner, lines[index] if has_same_length else None, file) for index, inner in enumerate(value)]
    return value


def _requests(service: Mapping[str, Any]) -> list[Any]:
    return [*(service.get("gpus") or []), *requested_devices(service.get("deploy"))]


def _restore_counts(service: Mapping[str, Any], own_service: Mapping[str, Any]) -> None:
    for request, own_request in zip(_requests(service), _requests(own_service), strict=False):
        if "count" not in request and own_request.get("count") == 0:
            request["count"] = 0


def _extensions(files: ComposeFiles) -> Located:
    """The `x-gputui` parts of files that `docker compose` accepts but gputui's own reader does not."""
    extensions = Located(files.paths[0].name)
    for path in files.paths:
        try:
            documents = load(path)
        except UsageError:
            continue
        for document in documents:
            plain, _ = without_tags(document)
            extensions = deep(extensions, _only_extensions(plain))
    return extensions


def _only_extensions(document: Located) -> Located:
    extensions = Located(document.file)
    if "x-gputui" in document:
        extensions["x-gputui"] = document["x-gputui"]
        extensions.take_place(document, "x-gputui")
    services = document.get("services")
    extensions["services"] = Located(document.file)
    for name, entry in services.items() if isinstance(services, Located) else ():
        if isinstance(entry, Located) and "x-gputui" in entry:
            extensions["services"][name] = Located(document.file, {"x-gputui": entry["x-gputui"]})
            extensions["services"][name].take_place(entry, "x-gputui")
    return extensions
