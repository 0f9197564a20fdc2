"""What two Compose files, or a service and the one that it extends, say together.

By the Compose specification: section "Merge" (13-merge.md), and "extends" in 05-services.md.
"""

from collections.abc import Callable
from typing import Any

from gputui.domain.text import clean
from gputui.project.compose_yaml import Located, Override, Reset

_APPENDED = {
    "cap_add", "cap_drop", "security_opt", "dns", "dns_opt", "dns_search", "tmpfs", "group_add", "expose", "env_file",
    "volumes_from", "external_links", "device_cgroup_rules", "profiles", "devices_list",
}  # fmt: skip
"""Lists of which the later file's entries come after the earlier one's."""

PAIRS = {"environment", "labels", "extra_hosts", "sysctls", "annotations", "driver_opts", "args"}
"""Mappings that may also be written as lists of `name=value`."""


def _target_of_volume(entry: Any) -> str:
    if isinstance(entry, dict):
        return str(entry.get("target"))
    parts = str(entry).split(":")
    return parts[1] if len(parts) > 1 else parts[0]


def _target_of_device(entry: Any) -> str:
    if isinstance(entry, dict):
        return str(entry.get("target") or entry.get("source") or entry)
    parts = str(entry).split(":")
    return parts[1] if len(parts) > 1 else parts[0]


def _name_of_grant(entry: Any) -> str:
    return str(entry.get("target") or entry.get("source")) if isinstance(entry, dict) else str(entry)


_BY_TARGET: dict[str, Callable[[Any], str]] = {
    "volumes": _target_of_volume,
    "secrets": _name_of_grant,
    "configs": _name_of_grant,
    "ports": lambda entry: str(sorted(entry.items())) if isinstance(entry, dict) else str(entry),
}
"""Lists of which an entry of the later file takes the place of the earlier one's with the same target."""

_REPLACED = {"command", "entrypoint", "test"}


def merge(base: Any, over: Any, key: str = "") -> Any:
    """The value that two of them together say: mappings key by key, some lists one after the other, else the later."""
    if isinstance(over, Override):
        return over.value
    if key == "logging" and _driver(base) != _driver(over) and _driver(over) is not None:
        return over
    base, over = as_mapping(base, key), as_mapping(over, key)
    if isinstance(base, Located) and isinstance(over, Located):
        merged = Located(over.file)
        for name, value in base.items():
            merged[name] = value
            merged.take_place(base, name)
        for name, value in over.items():
            if isinstance(value, Reset):
                merged.pop(name, None)
            else:
                merged[name] = merge(base.get(name), value, name)
                merged.take_place(over, name)
        return merged
    if isinstance(base, list) and isinstance(over, list) and key not in _REPLACED:
        if key in _BY_TARGET:
            target = _BY_TARGET[key]
            by_target = {target(one): one for one in base} | {target(one): one for one in over}
            return list(by_target.values())
        if key == "devices":
            return _devices(base, over)
        if key in _APPENDED:
            return [*base, *(one for one in over if one not in base)]
    return over


def _devices(base: list[Any], over: list[Any]) -> list[Any]:
    """Of a service they are nodes, by their targets; of a reservation requests, one after the other."""
    if any(isinstance(one, dict) and "capabilities" in one for one in (*base, *over)):
        return [*base, *(one for one in over if one not in base)]
    return list(
        ({_target_of_device(one): one for one in base} | {_target_of_device(one): one for one in over}).values()
    )


def _driver(logging: Any) -> Any:
    return logging.get("driver") if isinstance(logging, dict) else None


def as_mapping(value: Any, key: str) -> Any:
    """A list that stands for a mapping, as the mapping."""
    if not isinstance(value, list):
        return value
    found = Located("")
    if key in PAIRS and all(isinstance(one, (str, int, float)) for one in value):
        sign = ":" if key == "extra_hosts" and not any("=" in str(one) for one in value) else "="
        for one in value:
            name, has, text = str(one).partition(sign if sign in str(one) else "=" if "=" in str(one) else ":")
            found[name] = text if has else None
    elif key in ("networks", "depends_on") and all(isinstance(one, str) for one in value):
        for one in value:
            found[clean(one, 200)] = None
    else:
        return value
    return found


def settle(value: Any) -> Any:
    """The value of a single file: `!override` is its value, `!reset` is nothing."""
    if isinstance(value, Override):
        return settle(value.value)
    if isinstance(value, Located):
        for key in [key for key, inner in value.items() if isinstance(inner, Reset)]:
            del value[key]
        for key in value:
            value[key] = settle(value[key])
        return value
    if isinstance(value, list):
        return [settle(inner) for inner in value]
    return value
