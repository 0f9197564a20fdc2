"""Completes a merged project: fills in defaults, validates references, and drops what is unused."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gputui.compose.document import Located, Place
from gputui.compose.env_file import read_env_file
from gputui.compose.keys import printed
from gputui.domain.errors import UsageError
from gputui.domain.text import clean


def completed(model: Located, name: str, variables: Mapping[str, str]) -> Located:
    """The project as `docker compose config` prints it, without empty sections.

    Raises:
        UsageError: a reference is undefined, or two keys exclude each other; the message names file and line.
    """
    return _Completion(model, name, variables).completed()


class _Completion:
    """The completion of one merged project."""

    def __init__(self, model: Located, name: str, variables: Mapping[str, str]) -> None:
        self._model = model
        self._name = name
        self._variables = variables
        self._place = Place(model.file)

    def completed(self) -> Located:
        """The project as `docker compose config` prints it, without empty sections."""
        model = self._model
        services = model.get("services")
        if not isinstance(services, Located):
            problem = f"{Place(model.file, path=('services',))}: a mapping of services is missing"
            raise UsageError(problem, "name at least one service")
        services_place = self._place.of(model, "services")
        all_names = set(services)
        active = {name: entry for name, entry in services.items() if self._is_active(entry)}
        project = Located(model.file, {"name": self._name, "services": Located(services.file)})
        project.take_place(model, "services")
        for name in sorted(active):
            entry = self._service(active[name], services_place.of(services, name), all_names, set(active))
            project["services"][name] = entry
            project["services"].take_place(services, name)
        _check_circles(project["services"], services_place)
        self._add_sections(project)
        for key, value in model.items():
            if key.startswith("x-"):
                project[key] = value
                project.take_place(model, key)
        return project

    def _is_active(self, entry: Mapping[str, Any]) -> bool:
        """Whether the active profiles include this service; one without profiles is always active."""
        profiles = {
            profile.strip() for profile in self._variables.get("COMPOSE_PROFILES", "").split(",") if profile.strip()
        }
        service_profiles = [profile for profile in entry.get("profiles") or [] if profile]
        return not service_profiles or "*" in profiles or bool(profiles & set(service_profiles))

    def _service(self, entry: Located, place: Place, service_names: set[str], active: set[str]) -> Located:
        service = Located(entry.file)
        for key, value in entry.items():
            service[key] = value
            service.take_place(entry, key)
        self._fill_dependencies(service, place, service_names, active)
        if service.get("network_mode") is not None:
            if service.get("networks"):
                raise place.of(service, "networks").refuses(
                    "networks and network_mode exclude each other", "keep one of them"
                )
            service.pop("networks", None)
        elif not service.get("provider"):
            service["networks"] = service.get("networks") or {"default": None}
        build = service.get("build")
        if isinstance(build, Mapping) and not build.get("dockerfile") and not build.get("dockerfile_inline"):
            service["build"] = {**build, "dockerfile": "Dockerfile"}
        fill_environment(service, self._variables, place)
        self._check_references(service, place)
        _check_limits(service, place)
        if service.get("scale") is not None and service.get("deploy") is not None:
            replicas = service["deploy"].get("replicas")
            if replicas is not None and replicas != service["scale"]:
                raise place.of(service, "scale").refuses("scale and deploy.replicas differ", "keep one of them")
            service["deploy"] = Located(service.file, {**service["deploy"], "replicas": service["scale"]})
        # Compose always prints both.
        always = {key: service.get(key) for key in ("command", "entrypoint")}
        result = Located(service.file, {**printed(service), **always})
        for key in result:
            result.take_place(service, key)
        return result

    def _fill_dependencies(self, entry: Located, place: Place, service_names: set[str], active: set[str]) -> None:
        dependencies: dict[str, Any] = dict(entry.get("depends_on") or {})
        for link in entry.get("links") or []:
            dependencies.setdefault(
                link.partition(":")[0], {"condition": "service_started", "required": True, "restart": True}
            )
        for key in ("network_mode", "ipc", "pid", "uts", "cgroup"):
            kind, _, dependency = str(entry.get(key) or "").partition(":")
            if kind == "service":
                if dependency not in service_names:
                    problem = f"there is no service {clean(dependency, 60)}"
                    raise place.of(entry, key).refuses(problem, "name one of this file")
                dependencies.setdefault(dependency, {"condition": "service_started", "required": True, "restart": True})
        for volume_source in entry.get("volumes_from") or []:
            if not volume_source.startswith("container:"):
                dependencies.setdefault(
                    volume_source.partition(":")[0], {"condition": "service_started", "required": True}
                )
        for dependency, settings in dependencies.items():
            if dependency not in service_names:
                key_place = place.of(
                    entry, "depends_on" if dependency in (entry.get("depends_on") or {}) else "volumes_from"
                )
                raise key_place.refuses(f"there is no service {clean(dependency, 60)}", "name one of this file")
            if dependency not in active and settings.get("required", True):
                problem = f"the service {clean(dependency, 60)} belongs to a profile that is not active"
                raise place.of(entry, "depends_on").refuses(problem, "set COMPOSE_PROFILES, or required: false")
        if dependencies:
            sorted_dependencies = Located(
                entry.file, {dependency: dependencies[dependency] for dependency in sorted(dependencies)}
            )
            if isinstance(entry.get("depends_on"), Located):
                for dependency in entry["depends_on"]:
                    sorted_dependencies.take_place(entry["depends_on"], dependency)
            entry["depends_on"] = sorted_dependencies

    def _check_references(self, entry: Located, place: Place) -> None:
        for key in entry.get("networks") or {}:
            if key != "default" and key not in (self._model.get("networks") or {}):
                problem = f"the network {clean(key, 60)} is not declared"
                raise place.of(entry, "networks").refuses(problem, "add it to networks:")
        for mount in entry.get("volumes") or []:
            source = mount.get("source")
            if mount["type"] == "volume" and source and source not in (self._model.get("volumes") or {}):
                problem = f"the volume {clean(source, 60)} is not declared"
                raise place.of(entry, "volumes").refuses(problem, "add it to volumes:")
        for section in ("secrets", "configs"):
            for grant in entry.get(section) or []:
                if grant["source"] not in (self._model.get(section) or {}):
                    problem = f"the {section.removesuffix('s')} {clean(grant['source'], 60)} is not declared"
                    raise place.of(entry, section).refuses(problem, f"add it to {section}:")

    def _add_sections(self, project: Located) -> None:
        """Add the networks, volumes, configs and secrets in use, each with its name on the engine."""
        for section in ("networks", "volumes", "configs", "secrets"):
            used = {key for entry in project["services"].values() for key in _used(section, entry)}
            declared = self._model.get(section) or Located(self._model.file)
            entries = Located(declared.file if isinstance(declared, Located) else self._model.file)
            for key in sorted(used):
                declaration = declared.get(key) or {}
                entry = {name: value for name, value in declaration.items() if value or name.startswith("enable_ipv")}
                entry["name"] = declaration.get("name") or (
                    key if declaration.get("external") else f"{self._name}_{key}"
                )
                if section == "networks":
                    entry["ipam"] = {
                        name: setting for name, setting in (declaration.get("ipam") or {}).items() if name != "options"
                    }
                entries[key] = entry
                if isinstance(declared, Located):
                    entries.take_place(declared, key)
            if entries:
                project[section] = entries
                project.take_place(self._model, section)


def _check_circles(services: Mapping[str, Any], place: Place) -> None:
    """Reject dependency cycles.

    Raises:
        UsageError: a service depends on itself, directly or indirectly.
    """
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            cycle = " → ".join(clean(service_name, 40) for service_name in (*path[path.index(name) :], name))
            service_place = place.of(services, name)
            raise replace(service_place, path=(*service_place.path, "depends_on")).refuses(
                f"services wait for each other: {cycle}", "take one away"
            )
        if name in done or name not in services:
            return
        for dependency in services[name].get("depends_on") or {}:
            visit(dependency, (*path, name))
        done.add(name)

    for name in services:
        visit(name, ())


def _used(section: str, entry: Mapping[str, Any]) -> list[str]:
    if section == "networks":
        return list(entry.get("networks") or {})
    if section == "volumes":
        mounted = entry.get("volumes") or []
        return [mount["source"] for mount in mounted if mount["type"] == "volume" and mount.get("source")]
    return [grant["source"] for grant in entry.get(section) or []]


def fill_environment(entry: Located, variables: Mapping[str, str], place: Place) -> None:
    """Add the variables of a service's env files; a name without a value takes it from `variables`."""
    service_variables = {
        name: variables.get(name) if value is None else value
        for name, value in (entry.get("environment") or {}).items()
    }
    known_variables = {**variables, **{name: value for name, value in service_variables.items() if value is not None}}
    environment: dict[str, str | None] = {}
    env_file_place = place.of(entry, "env_file")
    for env_file in entry.pop("env_file", None) or []:
        earlier_variables = {name: value for name, value in environment.items() if value is not None}
        path, is_raw = Path(env_file["path"]), env_file.get("format") == "raw"
        environment |= read_env_file(
            path,
            {**earlier_variables, **known_variables},
            required=env_file["required"],
            location=env_file_place,
            raw=is_raw,
        )
    environment |= service_variables
    if environment:
        entry["environment"] = {name: environment[name] for name in sorted(environment)}
        entry.lines.setdefault("environment", env_file_place.line)
    labels: dict[str, str] = {}
    for path in entry.pop("label_file", None) or []:
        labels |= read_env_file(Path(path), variables, required=True, location=place.of(entry, "label_file"))
    if labels:
        entry["labels"] = {**labels, **(entry.get("labels") or {})}


def _check_limits(entry: Located, place: Place) -> None:
    """Reject contradicting limits, and two mounts on the same target."""
    resources = (entry.get("deploy") or {}).get("resources") or {}
    limits, reserved = resources.get("limits"), resources.get("reservations")
    for key, section, name in (
        ("cpus", limits, "cpus"), ("mem_limit", limits, "memory"), ("pids_limit", limits, "pids"),
        ("mem_reservation", reserved, "memory"),
    ):  # fmt: skip
        if section and entry.get(key) is not None and entry[key] != section.get(name):
            raise place.of(entry, key).refuses(f"deploy.resources says another {name}", "keep one of them")
    targets = {mount["target"] for mount in entry.get("volumes") or []}
    for tmpfs in entry.get("tmpfs") or []:
        target = tmpfs.partition(":")[0]
        if target in targets:
            problem = f"{clean(target, 60)} is the place of something else already"
            raise place.of(entry, "tmpfs").refuses(problem, "give it another place")
        targets.add(target)
