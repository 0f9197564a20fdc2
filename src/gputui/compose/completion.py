"""What Compose fills in, checks and leaves out once all files of a project are merged."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gputui.compose.document import Located, Place
from gputui.compose.env_file import read_env_file
from gputui.compose.keys import printed
from gputui.domain.errors import UsageError
from gputui.domain.text import clean


def completed(whole: Located, name: str, variables: Mapping[str, str]) -> Located:
    """The project as `docker compose config` prints it, sections that are empty left out.

    Raises:
        UsageError: something is named that is not there, or two things exclude each other; file and line are named.
    """
    return _Completion(whole, name, variables).completed()


class _Completion:
    """What Compose fills in, checks and leaves out once all files are merged."""

    def __init__(self, whole: Located, name: str, variables: Mapping[str, str]) -> None:
        self._whole = whole
        self._name = name
        self._variables = variables
        self._place = Place(whole.file)

    def completed(self) -> Located:
        """The project as `docker compose config` prints it, sections that are empty left out."""
        whole = self._whole
        services = whole.get("services")
        if not isinstance(services, Located):
            what = f"{Place(whole.file, path=('services',))}: a mapping of services is missing"
            raise UsageError(what, "name at least one service")
        at = self._place.of(whole, "services")
        all_names = set(services)
        active = {name: entry for name, entry in services.items() if self._is_active(entry)}
        made = Located(whole.file, {"name": self._name, "services": Located(services.file)})
        made.take_place(whole, "services")
        for name in sorted(active):
            entry = self._service(active[name], at.of(services, name), all_names, set(active))
            made["services"][name] = entry
            made["services"].take_place(services, name)
        _check_circles(made["services"], at)
        self._add_sections(made)
        for key, value in whole.items():
            if key.startswith("x-"):
                made[key] = value
                made.take_place(whole, key)
        return made

    def _is_active(self, entry: Mapping[str, Any]) -> bool:
        """Whether a service belongs to the project with these profiles; one without profiles always does."""
        profiles = {one.strip() for one in self._variables.get("COMPOSE_PROFILES", "").split(",") if one.strip()}
        own = [one for one in entry.get("profiles") or [] if one]
        return not own or "*" in profiles or bool(profiles & set(own))

    def _service(self, entry: Located, place: Place, known: set[str], active: set[str]) -> Located:
        made = Located(entry.file)
        for key, value in entry.items():
            made[key] = value
            made.take_place(entry, key)
        self._fill_dependencies(made, place, known, active)
        if made.get("network_mode") is not None:
            if made.get("networks"):
                raise place.of(made, "networks").refuses(
                    "networks and network_mode exclude each other", "keep one of them"
                )
            made.pop("networks", None)
        elif not made.get("provider"):
            made["networks"] = made.get("networks") or {"default": None}
        build = made.get("build")
        if isinstance(build, Mapping) and not build.get("dockerfile") and not build.get("dockerfile_inline"):
            made["build"] = {**build, "dockerfile": "Dockerfile"}
        fill_environment(made, self._variables, place)
        self._check_references(made, place)
        _check_limits(made, place)
        if made.get("scale") is not None and made.get("deploy") is not None:
            replicas = made["deploy"].get("replicas")
            if replicas is not None and replicas != made["scale"]:
                raise place.of(made, "scale").refuses("scale and deploy.replicas differ", "keep one of them")
            made["deploy"] = Located(made.file, {**made["deploy"], "replicas": made["scale"]})
        # Compose prints both in any case.
        always = {key: made.get(key) for key in ("command", "entrypoint")}
        result = Located(made.file, {**printed(made), **always})
        for key in result:
            result.take_place(made, key)
        return result

    def _fill_dependencies(self, entry: Located, place: Place, known: set[str], active: set[str]) -> None:
        wanted: dict[str, Any] = dict(entry.get("depends_on") or {})
        for link in entry.get("links") or []:
            wanted.setdefault(
                link.partition(":")[0], {"condition": "service_started", "required": True, "restart": True}
            )
        for key in ("network_mode", "ipc", "pid", "uts", "cgroup"):
            kind, _, other = str(entry.get(key) or "").partition(":")
            if kind == "service":
                if other not in known:
                    what = f"there is no service {clean(other, 60)}"
                    raise place.of(entry, key).refuses(what, "name one of this file")
                wanted.setdefault(other, {"condition": "service_started", "required": True, "restart": True})
        for one in entry.get("volumes_from") or []:
            if not one.startswith("container:"):
                wanted.setdefault(one.partition(":")[0], {"condition": "service_started", "required": True})
        for other, settings in wanted.items():
            if other not in known:
                at = place.of(entry, "depends_on" if other in (entry.get("depends_on") or {}) else "volumes_from")
                raise at.refuses(f"there is no service {clean(other, 60)}", "name one of this file")
            if other not in active and settings.get("required", True):
                what = f"the service {clean(other, 60)} belongs to a profile that is not active"
                raise place.of(entry, "depends_on").refuses(what, "set COMPOSE_PROFILES, or required: false")
        if wanted:
            made = Located(entry.file, {other: wanted[other] for other in sorted(wanted)})
            if isinstance(entry.get("depends_on"), Located):
                for other in entry["depends_on"]:
                    made.take_place(entry["depends_on"], other)
            entry["depends_on"] = made

    def _check_references(self, entry: Located, place: Place) -> None:
        for key in entry.get("networks") or {}:
            if key != "default" and key not in (self._whole.get("networks") or {}):
                what = f"the network {clean(key, 60)} is not declared"
                raise place.of(entry, "networks").refuses(what, "add it to networks:")
        for mount in entry.get("volumes") or []:
            source = mount.get("source")
            if mount["type"] == "volume" and source and source not in (self._whole.get("volumes") or {}):
                what = f"the volume {clean(source, 60)} is not declared"
                raise place.of(entry, "volumes").refuses(what, "add it to volumes:")
        for section in ("secrets", "configs"):
            for grant in entry.get(section) or []:
                if grant["source"] not in (self._whole.get(section) or {}):
                    what = f"the {section.removesuffix('s')} {clean(grant['source'], 60)} is not declared"
                    raise place.of(entry, section).refuses(what, f"add it to {section}:")

    def _add_sections(self, made: Located) -> None:
        """The networks, volumes, configs and secrets that a service uses, each with its name on the engine."""
        for section in ("networks", "volumes", "configs", "secrets"):
            used = {key for entry in made["services"].values() for key in _used(section, entry)}
            declared = self._whole.get(section) or Located(self._whole.file)
            entries = Located(declared.file if isinstance(declared, Located) else self._whole.file)
            for key in sorted(used):
                given = declared.get(key) or {}
                entry = {name: value for name, value in given.items() if value or name.startswith("enable_ipv")}
                entry["name"] = given.get("name") or (key if given.get("external") else f"{self._name}_{key}")
                if section == "networks":
                    entry["ipam"] = {name: one for name, one in (given.get("ipam") or {}).items() if name != "options"}
                entries[key] = entry
                if isinstance(declared, Located):
                    entries.take_place(declared, key)
            if entries:
                made[section] = entries
                made.take_place(self._whole, section)


def _check_circles(services: Mapping[str, Any], place: Place) -> None:
    """No service waits for itself.

    Raises:
        UsageError: one does.
    """
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            shown = " → ".join(clean(one, 40) for one in (*path[path.index(name) :], name))
            where = place.of(services, name)
            raise replace(where, path=(*where.path, "depends_on")).refuses(
                f"services wait for each other: {shown}", "take one away"
            )
        if name in done or name not in services:
            return
        for other in services[name].get("depends_on") or {}:
            visit(other, (*path, name))
        done.add(name)

    for name in services:
        visit(name, ())


def _used(section: str, entry: Mapping[str, Any]) -> list[str]:
    if section == "networks":
        return list(entry.get("networks") or {})
    if section == "volumes":
        mounted = entry.get("volumes") or []
        return [one["source"] for one in mounted if one["type"] == "volume" and one.get("source")]
    return [one["source"] for one in entry.get(section) or []]


def fill_environment(entry: Located, variables: Mapping[str, str], place: Place) -> None:
    """Put in the variables of a service's env files; a name alone has the value that it has where this runs."""
    own = {
        name: variables.get(name) if value is None else value
        for name, value in (entry.get("environment") or {}).items()
    }
    known = {**variables, **{name: value for name, value in own.items() if value is not None}}
    found: dict[str, str | None] = {}
    at = place.of(entry, "env_file")
    for one in entry.pop("env_file", None) or []:
        before = {name: value for name, value in found.items() if value is not None}
        path, is_raw = Path(one["path"]), one.get("format") == "raw"
        found |= read_env_file(path, {**before, **known}, required=one["required"], where=at, raw=is_raw)
    found |= own
    if found:
        entry["environment"] = {name: found[name] for name in sorted(found)}
        entry.lines.setdefault("environment", at.line)
    labels: dict[str, str] = {}
    for path in entry.pop("label_file", None) or []:
        labels |= read_env_file(Path(path), variables, required=True, where=place.of(entry, "label_file"))
    if labels:
        entry["labels"] = {**labels, **(entry.get("labels") or {})}


def _check_limits(entry: Located, place: Place) -> None:
    """What is said twice has to be the same, and no two things may lie in one place of the container."""
    resources = (entry.get("deploy") or {}).get("resources") or {}
    limits, reserved = resources.get("limits"), resources.get("reservations")
    for key, section, name in (
        ("cpus", limits, "cpus"), ("mem_limit", limits, "memory"), ("pids_limit", limits, "pids"),
        ("mem_reservation", reserved, "memory"),
    ):  # fmt: skip
        if section and entry.get(key) is not None and entry[key] != section.get(name):
            raise place.of(entry, key).refuses(f"deploy.resources says another {name}", "keep one of them")
    taken = {mount["target"] for mount in entry.get("volumes") or []}
    for one in entry.get("tmpfs") or []:
        target = one.partition(":")[0]
        if target in taken:
            what = f"{clean(target, 60)} is the place of something else already"
            raise place.of(entry, "tmpfs").refuses(what, "give it another place")
        taken.add(target)
