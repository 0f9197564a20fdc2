"""Reads Compose files into the canonical model that `docker compose config` prints, without calling it.

Files are merged, `include` and `extends` resolved, variables interpolated, paths made absolute, and every value brought
into its canonical form (`keys.py`). Follows the Compose specification and the behaviour of compose-go 2.9.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from gputui.compose import networks
from gputui.compose.defaults import completed, fill_environment
from gputui.compose.document import Located, Place, Reset, forget, load, places, without_tags
from gputui.compose.env_file import read_env_file
from gputui.compose.files import ComposeFiles, checked_name, usable_name, variables_of
from gputui.compose.interpolation import interpolated, substituted
from gputui.compose.keys import SERVICE_KEYS, canonical_service, merged_service
from gputui.compose.merging import deep
from gputui.compose.mounts import absolute_path
from gputui.compose.shapes import mapping, text
from gputui.domain.errors import UsageError
from gputui.domain.text import clean

SECTIONS = ("services", "networks", "volumes", "configs", "secrets", "models")
TOP_LEVEL = {*SECTIONS, "version", "name", "include"}
_SHAPES = {
    "networks": networks.network,
    "volumes": networks.volume,
    "configs": networks.file_grant,
    "secrets": networks.file_grant,
}
_DEPTH = 20
"""Maximum nesting of `include` and `extends`; anything deeper is a cycle."""
Documents = Callable[[Path], list[Located]]
"""The documents of a file; each file is read once."""


def read_model(files: ComposeFiles, project_name: str | None, environment: Mapping[str, str]) -> Located:
    """The project that these files describe together, with the line of every key.

    Raises:
        UsageError: a file cannot be read or is invalid; the message names file, line and key.
    """
    variables = variables_of(files, environment)
    load_once = cache(load)
    name = _name_of(files, project_name, variables, load_once)
    reader = _Reader({**variables, "COMPOSE_PROJECT_NAME": name}, load_once)
    model = reader.model(files.paths, files.directory)
    model["name"] = name
    return completed(model, name, reader.variables)


def _name_of(files: ComposeFiles, project_name: str | None, variables: Mapping[str, str], documents: Documents) -> str:
    if project_name:
        return checked_name(project_name, "--project-name")
    if variables.get("COMPOSE_PROJECT_NAME"):
        return checked_name(variables["COMPOSE_PROJECT_NAME"], "COMPOSE_PROJECT_NAME")
    declared_name = ""
    for path in files.paths:
        for document in documents(path):
            raw_name = document.get("name")
            if raw_name is not None:
                place = Place(path.name, document.position("name")[1], ("name",))
                declared_name = substituted(text(raw_name, place), variables, place) or declared_name
    name = usable_name(declared_name) or usable_name(files.directory.name)
    if not name:
        raise UsageError("the project has no usable name", "give one with --project-name")
    return name


class _Reader:
    """Reads files with a given set of variables."""

    def __init__(self, variables: Mapping[str, str], documents: Documents) -> None:
        self.variables = variables
        self._documents = documents

    def model(self, paths: Sequence[Path], directory: Path, depth: int = 0) -> Located:
        """The merged model of these files; relative paths are resolved against `directory`."""
        if depth > _DEPTH:
            raise UsageError(
                f"{paths[0].name}: files that include or extend each other in a circle", "take one of them out"
            )
        model = Located(paths[0].name)
        for path in paths:
            for document in self._documents(path):
                place = Place(path.name, directory=directory)
                raw = interpolated(document, self.variables, place)
                _check_top_level(raw, place)
                model = self._with_file(model, raw, path, place, depth)
        return model

    def _with_file(self, model: Located, raw: Located, path: Path, place: Place, depth: int) -> Located:
        services = raw.get("services")
        canonical = Located(raw.file)
        removed_paths: list[tuple[str, ...]] = []
        if services is not None:
            canonical["services"] = Located(raw.file)
            canonical.take_place(raw, "services")
            services_place = place.of(raw, "services")
            for name, definition, service_place in places(mapping(services, services_place), services_place):
                if isinstance(definition, Reset):
                    removed_paths.append(("services", name))
                    continue
                is_first = name not in (model.get("services") or {})
                entry, removed = self._service(services, name, path, service_place, depth, is_first=is_first)
                canonical["services"][name] = entry
                canonical["services"].take_place(services, name)
                removed_paths += [("services", name, *key_path) for key_path in removed]
        sections, removed = without_tags(Located(raw.file, {key: raw[key] for key in raw if key != "services"}))
        removed_paths += removed
        for section, _, section_place in places(raw, place):
            if section in sections and sections[section] is not None:
                canonical[section] = _section(section, sections[section], section_place)
                canonical.take_place(raw, section)
        for removed_path in removed_paths:
            forget(model, removed_path)
        for entry in _includes(raw, place):
            self._include(canonical, entry, place.of(raw, "include"), depth)
        canonical.pop("include", None)
        return _merged(model, canonical)

    def _service(
        self, services: Mapping[str, Any], name: str, path: Path, place: Place, depth: int, *, is_first: bool
    ) -> tuple[Located, list[tuple[str, ...]]]:
        """A service in its canonical form, merged over the one it extends, and the paths that it resets."""
        if depth > _DEPTH:
            raise place.refuses("services that extend each other in a circle", "take one of them out")
        entry, removed_paths = without_tags(services[name])
        if not isinstance(entry, Located):
            raise place.refuses("a service is a mapping", "see its manual")
        base = self._base(services, entry, path, place, depth) if "extends" in entry else None
        if base is None and is_first:
            check_nothing_empty(entry, place)
        service = canonical_service(without_key(entry, "extends"), place)
        if base is None:
            return service, removed_paths
        for removed_path in removed_paths:
            forget(base, removed_path)
        extends = entry["extends"]
        from_file = isinstance(extends, Mapping) and extends.get("file")
        if not from_file and base.get("gpus") == [{"count": -1}] and service.get("gpus"):
            del base["gpus"]  # within one file `gpus: all` is still a string, which is replaced
        return merged_service(base, service), removed_paths

    def _base(self, services: Mapping[str, Any], entry: Located, path: Path, place: Place, depth: int) -> Located:
        extends_place = place.of(entry, "extends")
        settings = entry["extends"]
        settings = {"service": settings} if isinstance(settings, str) else mapping(settings, extends_place)
        base_name = settings.get("service")
        if not isinstance(base_name, str):
            raise extends_place.refuses("a service is expected", "name the service that is extended")
        if settings.get("file"):
            # Paths in an extended file are relative to its own directory.
            path = Path(absolute_path(text(settings["file"], extends_place), place))
            directory = path.parent
            raw = interpolated(self._documents(path)[0], self.variables, Place(path.name, directory=directory))
            services = mapping(raw.get("services"), Place(path.name, path=("services",)))
            extends_place = replace(extends_place, directory=directory)
        if base_name not in services:
            raise extends_place.refuses(
                f"there is no service {clean(base_name, 60)} in {path.name}", "name one that is there"
            )
        base_place = replace(
            extends_place.of(services, base_name), file=path.name, path=("services", base_name, "extends")
        )
        base, _ = self._service(services, base_name, path, base_place, depth + 1, is_first=True)
        return copy.deepcopy(base)

    def _include(self, model: Located, entry: Any, place: Place, depth: int) -> None:
        """Merge an included project, which has its own directory and variables. Keys that both define must be equal."""
        settings = entry if isinstance(entry, Mapping) else {"path": entry}
        raw_paths = settings.get("path") or []
        path_names = raw_paths if isinstance(raw_paths, list) else [raw_paths]
        if not path_names:
            raise place.refuses("an include without a path", "name its file")
        paths = [Path(absolute_path(text(path_name, place), place)) for path_name in path_names]
        project_directory = settings.get("project_directory")
        # Compose uses the parent of an explicit project_directory (compose-go 2.9, `loader.Dir` in its include.go).
        folder = (
            Path(absolute_path(text(project_directory, place), place)).parent if project_directory else paths[0].parent
        )
        files = settings.get("env_file")
        env_files = files if isinstance(files, list) else [files] if files else []
        env_variables: dict[str, str] = {}
        for env_file in env_files:
            path = Path(absolute_path(text(env_file, place), place))
            env_variables = {**env_variables, **read_env_file(path, self.variables, required=True, location=place)}
        if not env_files:
            env_variables = read_env_file(folder / ".env", self.variables, required=False, location=place)
        reader = _Reader({**env_variables, **self.variables}, self._documents)
        included = reader.model(paths, folder, depth + 1)
        for service in (included.get("services") or {}).values():
            fill_environment(service, reader.variables, place)
        for section in SECTIONS:
            inner = included.get(section)
            if not isinstance(inner, Located):
                continue
            outer = model.setdefault(section, Located(model.file))
            for key, value in inner.items():
                if key in outer and outer[key] != value:
                    key_place = place.of(inner, key)
                    raise key_place.refuses(f"included, but {clean(key, 60)} is in {model.file} too", "rename one")
                outer[key] = value
                outer.take_place(inner, key)


def without_key(entry: Located, key: str) -> Located:
    """A copy of the mapping without this key."""
    remaining = Located(entry.file)
    for name, value in entry.items():
        if name != key:
            remaining[name] = value
            remaining.take_place(entry, name)
    return remaining


def _check_top_level(raw: Located, place: Place) -> None:
    for key in raw:
        if key not in TOP_LEVEL and not key.startswith("x-"):
            known_keys = ", ".join(sorted(TOP_LEVEL))
            raise place.of(raw, key).refuses("not a key of a Compose file", f"known are {known_keys} and x-…")


def _includes(raw: Located, place: Place) -> list[Any]:
    entries = raw.get("include") or []
    if not isinstance(entries, list) or not all(isinstance(entry, (str, Mapping)) for entry in entries):
        raise place.of(raw, "include").refuses("a list of files is expected", "see the Compose manual on include")
    return entries


def _section(section: str, value: Any, place: Place) -> Any:
    shape = _SHAPES.get(section)
    if shape is None:
        return value
    entries = Located(place.file)
    for key, inner, entry_place in places(mapping(value, place), place):
        entry = Located(place.file) if inner is None else networks.with_own_file(shape(inner, entry_place), entry_place)
        other_keys = [name for name in entry if name not in ("external", "name") and not name.startswith("x-")]
        if section == "volumes" and entry.get("external") and other_keys:
            raise entry_place.refuses(f"external and {other_keys[0]} exclude each other", "keep one of them")
        if entry.get("file"):
            entry["file"] = absolute_path(entry["file"], entry_place)
        options = entry.get("driver_opts") or {}
        if section == "volumes" and options.get("o") == "bind" and options.get("device"):
            entry["driver_opts"] = {**options, "device": absolute_path(options["device"], entry_place)}
        entries[key] = entry
        entries.take_place(value, key)
    return entries


def _merged(base: Located, over: Located) -> Located:
    merged = Located(base.file)
    for source in (base, over):
        for section in source:
            base_value, over_value = base.get(section), over.get(section)
            if section == "services" and base_value is not None and over_value is not None:
                merged[section] = _merged_services(base_value, over_value)
            elif base_value is None or over_value is None:
                merged[section] = base_value if over_value is None else over_value
            else:
                merged[section] = deep(base_value, over_value)
            merged.take_place(source, section)
    return merged


def _merged_services(base: Located, over: Located) -> Located:
    merged = Located(base.file)
    for source in (base, over):
        for name in source:
            is_in_both = name in base and name in over
            merged[name] = merged_service(base[name], over[name]) if is_in_both else source[name]
            merged.take_place(source, name)
    return merged


_MAY_BE_EMPTY = {"command", "entrypoint", "deploy", "develop", "pid"}


def check_nothing_empty(entry: Located, place: Place) -> None:
    """Reject keys without a value in a service that no earlier file defines.

    Raises:
        UsageError: a key has no value.
    """
    for key, value in entry.items():
        if value is None and key in SERVICE_KEYS and key not in _MAY_BE_EMPTY:
            raise place.of(entry, key).refuses("has no value", "write one, or take the key away")
