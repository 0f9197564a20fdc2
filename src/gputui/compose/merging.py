"""What two Compose files, or a service and the one that it extends, say together: a rule for each kind of value."""

from collections.abc import Callable
from typing import Any

from gputui.compose import mounts
from gputui.compose.document import Located
from gputui.compose.gpu_requests import requested_devices
from gputui.compose.shapes import unrepeated

Merge = Callable[[Any, Any], Any]
"""Two files' canonical values of a key → the value that they have together."""


def later(_base: Any, over: Any) -> Any:
    """The later file's."""
    return over


def deep(base: Any, over: Any) -> Any:
    """Mappings key by key, else the later file's."""
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
    """The later file's after the earlier one's; what is the same stands once."""
    return unrepeated([*base, *over])


def added(base: list[Any], over: list[Any]) -> list[Any]:
    """The later file's after the earlier one's."""
    return [*base, *over]


def by_target(base: list[Any], over: list[Any]) -> list[Any]:
    """A later entry takes the place of an earlier one with the same target."""
    return mounts.unique_targets([*base, *over])


def same_driver(base: Any, over: Any) -> Any:
    """Logging of one driver is merged; another driver's replaces it."""
    drivers = {settings.get("driver") for settings in (base, over)} - {None}
    return deep(base, over) if len(drivers) <= 1 else over


def merged_healthcheck(base: Any, over: Any) -> Any:
    """Key by key, but the test as a whole."""
    merged = deep(base, over)
    return Located(over.file, {**merged, "test": over["test"]}) if "test" in over else merged


def merged_deploy(base: Any, over: Any) -> Any:
    """Key by key; requests for devices one after the other."""
    merged = deep(base, over)
    lists = [requested_devices(deploy) for deploy in (base, over)]
    if all(lists):
        merged["resources"]["reservations"]["devices"] = [request for requests in lists for request in requests]
    return merged


def merged_networks(base: Any, over: Any) -> Any:
    """Key by key; aliases one after the other."""
    merged = deep(base, over)
    for name in merged:
        lists = [(networks.get(name) or {}).get("aliases") or [] for networks in (base, over)]
        if all(lists):
            merged[name]["aliases"] = appended(*lists)
    return merged


def merged_pairs(base: Any, over: Any) -> Any:
    """Name by name."""
    return {**base, **over}
