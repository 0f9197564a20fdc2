"""A Compose project as one mapping: its files merged, `include` and `extends` followed, paths made absolute.

By the Compose specification: "Include" (14-include.md), "extends" (05-services.md), "Profiles" (15-profiles.md).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gputui.domain.errors import UsageError
from gputui.domain.text import clean
from gputui.project.compose_merge import merge, settle
from gputui.project.compose_yaml import Located, Override, Reset, interpolate, load
from gputui.project.env_file import read_env_file

TOP_LEVEL = {"version", "name", "services", "networks", "volumes", "configs", "secrets", "include"}
_DEPTH = 20
"""Files within files; more of them are a circle."""


def read_model(paths: Sequence[Path], variables: Mapping[str, str], directory: Path, depth: int = 0) -> Located:
    """What these files say together, later ones over earlier ones. Relative paths are taken from `directory`.

    Raises:
        UsageError: a file cannot be read, or says something that is wrong; file, line and key are named.
    """
    if depth > _DEPTH:
        raise UsageError(
            f"{paths[0].name}: files that include or extend each other in a circle", "take one of them out"
        )
    whole: Located | None = None
    for path in paths:
        data = settle_sections(interpolate(load(path), variables, path.name))
        _check_top_level(data)
        services = data.get("services")
        if isinstance(services, Located):
            for name in services:
                services[name] = _extended(services, name, path, variables, directory, depth)
        whole = data if whole is None else merge(whole, data)
        for entry in _includes(whole):
            whole = _with_included(whole, entry, variables, directory, depth)
        whole.pop("include", None)
    assert whole is not None
    return whole


def settle_sections(data: Located) -> Located:
    """The file with its `!reset` and `!override` left for merging, but for sections that are nothing."""
    for key in [key for key, value in data.items() if value is None and key in TOP_LEVEL]:
        del data[key]
    return data


def _check_top_level(data: Located) -> None:
    for key in data:
        if key not in TOP_LEVEL and not key.startswith("x-"):
            known = ", ".join(sorted(TOP_LEVEL))
            raise UsageError(f"{data.where(key)}: not a key of a Compose file", f"known are {known} and x-…")


def _includes(whole: Located) -> list[Any]:
    entries = whole.get("include") or []
    if not isinstance(entries, list) or not all(isinstance(one, (str, dict)) for one in entries):
        raise UsageError(f"{whole.where('include')}: a list of files is expected", "see the Compose manual on include")
    return entries


def _with_included(whole: Located, entry: Any, variables: Mapping[str, str], directory: Path, depth: int) -> Located:
    """The project with another one in it, which has a directory and variables of its own. What both name must be the
    same."""
    settings = entry if isinstance(entry, dict) else {"path": entry}
    named = settings.get("path") or []
    paths = [directory / str(path) for path in (named if isinstance(named, list) else [named])]
    if not paths:
        raise UsageError(f"{whole.where('include')}: an include without a path", "name its file")
    own = settings.get("project_directory")
    folder = (directory / str(own)) if own else paths[0].parent
    files = settings.get("env_file")
    listed = files if isinstance(files, list) else [files] if files else [folder / ".env"]
    given: dict[str, str] = {}
    for file in listed:
        given |= read_env_file(directory / str(file), variables, required=bool(files), where=whole.where("include"))
    found = settle(read_model(paths, {**given, **variables}, folder.absolute(), depth + 1))
    for section in ("services", "networks", "volumes", "configs", "secrets"):
        inner = found.get(section)
        if not isinstance(inner, Located):
            continue
        outer = whole.setdefault(section, Located(whole.file))
        for key, value in inner.items():
            if key in outer and outer[key] != value:
                raise UsageError(
                    f"{inner.where(key)}: included, but {clean(key, 60)} is in {whole.file} too", "call one differently"
                )
            outer[key] = value
            outer.take_place(inner, key)
    return whole


def _extended(
    services: Located, name: str, path: Path, variables: Mapping[str, str], directory: Path, depth: int
) -> Any:
    """A service over the one that it extends, with its paths made absolute."""
    entry = services[name]
    if not isinstance(entry, Located):
        return entry
    base: Any = None
    if "extends" in entry:
        base = _base_of(services, entry, path, variables, directory, depth)
        del entry["extends"]
    with_absolute_paths(entry, directory)
    return merge(base, entry) if base is not None else entry


def _base_of(
    services: Located, entry: Located, path: Path, variables: Mapping[str, str], directory: Path, depth: int
) -> Located:
    extends = entry["extends"]
    settings = {"service": extends} if isinstance(extends, str) else extends
    where = entry.where("extends")
    if not isinstance(settings, dict) or not settings.get("service"):
        raise UsageError(f"{where}: a service is expected", "name the service that is extended")
    if depth > _DEPTH:
        raise UsageError(f"{where}: services that extend each other in a circle", "take one of them out")
    wanted = str(settings["service"])
    if settings.get("file"):
        # Paths of a file that is extended are relative to where it lies.
        path = directory / str(settings["file"])
        services = interpolate(load(path), variables, path.name).get("services") or Located(path.name)
        directory = path.parent.absolute()
    if wanted not in services or not isinstance(services[wanted], Located):
        raise UsageError(f"{where}: there is no service {clean(wanted, 60)} in {path.name}", "name one that is there")
    copy = _copied(services[wanted])
    found = _extended(_with(services, wanted, copy), wanted, path, variables, directory, depth + 1)
    for key in ("depends_on", "links", "volumes_from"):
        # What a service needs of its own project does not come along from another file.
        if settings.get("file") and key in found:
            del found[key]
    settled: Located = settle(found)
    return settled


def _with(services: Mapping[str, Any], name: str, entry: Located) -> Located:
    changed = Located(entry.file)
    changed.update(services)
    changed[name] = entry
    return changed


def _copied(value: Any) -> Any:
    """A copy that can be changed; keys keep their places."""
    if isinstance(value, Located):
        made = Located(value.file)
        for key, inner in value.items():
            made[key] = _copied(inner)
            made.take_place(value, key)
        return made
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


def with_absolute_paths(entry: Located, directory: Path) -> None:
    """The paths of a service's volumes and env_file, taken from the directory that they are relative to."""
    for key in ("env_file", "volumes"):
        if isinstance(entry.get(key), Override):
            inner = Located(entry.file)
            inner[key] = entry[key].value
            with_absolute_paths(inner, directory)
            entry[key] = Override(inner[key])
    if entry.get("env_file") is not None and not isinstance(entry["env_file"], (Override, Reset)):
        files = entry["env_file"] if isinstance(entry["env_file"], list) else [entry["env_file"]]
        entry["env_file"] = [
            {**one, "path": str(directory / str(one.get("path")))}
            if isinstance(one, dict)
            else str(directory / str(one))
            for one in files
        ]
    if isinstance(entry.get("volumes"), list):
        entry["volumes"] = [_absolute_volume(entry, one, directory) for one in entry["volumes"]]


def _absolute_volume(entry: Located, one: Any, directory: Path) -> Any:
    if isinstance(one, Located):
        if one.get("type") == "bind" and one.get("source"):
            one["source"] = absolute(entry, str(one["source"]), directory)
        return one
    source, colon, rest = str(one).partition(":")
    if colon and source.startswith((".", "/", "~")):
        return f"{absolute(entry, source, directory)}:{rest}"
    return one


def absolute(entry: Located, source: str, directory: Path) -> str:
    """A path of the host; `~` is the home of whoever runs this.

    Raises:
        UsageError: there is no such home.
    """
    try:
        path = Path(source).expanduser()
    except RuntimeError:
        where = entry.where("volumes")
        raise UsageError(f"{where}: {source} names no home directory", "write the whole path") from None
    # As Go's filepath.Join does it, `..` is taken away without looking at links.
    parts: list[str] = []
    for part in (directory / path).parts:
        if part == ".." and len(parts) > 1:
            parts.pop()
        elif part not in ("..", "."):
            parts.append(part)
    return str(Path(*parts))


def active(entry: Mapping[str, Any], profiles: frozenset[str]) -> bool:
    """Whether a service belongs to the project with these profiles; one without profiles always does."""
    own = entry.get("profiles") or []
    return not own or "*" in profiles or bool(profiles & {str(one) for one in own})
