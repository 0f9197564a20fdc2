"""Merges the values of two Compose files, or of a service and the one it extends: a rule for each kind of value."""

from collections.abc import Callable
from typing import Any

from gputui.compose import mounts
from gputui.compose.document import Located
from gputui.compose.gpu_requests import requested_devices
from gputui.compose.shapes import unrepeated

Merge = Callable[[Any, Any], Any]
"""Merges the canonical values of a key: (earlier file, later file) → result."""


def later(_base: Any, over: Any) -> Any:
    """The later file's value."""
    return over


def deep(base: Any, over: Any) -> Any:
    """Mappings key by key, else the later file's value."""
    if over is None:
        return base
    if not isinstance(base, Located) or not isinstance(over, Located):
        if isinstance(base, dict) and isinstance(over, dict):
            return {**base, **{key: deep(base.get(key), value) for key, value in over.items()}}
        return over
    merged = Located(base.file)
    for source in (base, over):
        for key in source:
            merged[key] = deep(base.get(key), over.get(key))
            merged.take_place(source, key)
    return merged


def appended(base: list[Any], over: list[Any]) -> list[Any]:
    """Both lists concatenated, without duplicates."""
    return unrepeated([*base, *over])


def added(base: list[Any], over: list[Any]) -> list[Any]:
    """Both lists concatenated."""
    return [*base, *over]


def by_target(base: list[Any], over: list[Any]) -> list[Any]:
    """Both lists; a later entry replaces an earlier one with the same target."""
    return mounts.unique_targets([*base, *over])


def same_driver(base: Any, over: Any) -> Any:
    """Logging options are merged for the same driver, else replaced."""
    drivers = {settings.get("driver") for settings in (base, over)} - {None}
    return deep(base, over) if len(drivers) <= 1 else over


def merged_healthcheck(base: Any, over: Any) -> Any:
    """Key by key, except that the test is replaced as a whole."""
    merged = deep(base, over)
    return Located(over.file, {**merged, "test": over["test"]}) if "test" in over else merged


def merged_deploy(base: Any, over: Any) -> Any:
    """Key by key; device requests are concatenated."""
    merged = deep(base, over)
    lists = [requested_devices(deploy) for deploy in (base, over)]
    if all(lists):
        merged["resources"]["reservations"]["devices"] = [request for requests in lists for request in requests]
    return merged


def merged_networks(base: Any, over: Any) -> Any:
    """Key by key; aliases are concatenated."""
    merged = deep(base, over)
    for name in merged:
        lists = [(networks.get(name) or {}).get("aliases") or [] for networks in (base, over)]
        if all(lists):
            merged[name]["aliases"] = appended(*lists)
    return merged


def merged_pairs(base: Any, over: Any) -> Any:
    """Name by name."""
    return {**base, **over}
