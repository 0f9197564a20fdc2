"""GPU requests and devices in Compose files."""

from collections.abc import Mapping
from typing import Any

from gputui.compose.document import Place
from gputui.compose.mounts import unique_targets
from gputui.compose.scalars import excerpt, to_int
from gputui.compose.shapes import record, text, text_pairs, texts
from gputui.domain.injection import CDI_KIND


def _count(value: Any, place: Place) -> int:
    if isinstance(value, str) and value.lower() == "all":
        return -1
    return to_int(value, place)


def _request(required: tuple[str, ...], *, opened: bool) -> Any:
    return record(
        {"driver": text, "count": _count, "device_ids": texts, "capabilities": texts, "options": text_pairs},
        required=required,
        opened=opened,
    )


_RESERVATION = _request(("capabilities",), opened=False)
_GPU_REQUEST = _request((), opened=True)


def _checked(request: Mapping[str, Any], place: Place) -> dict[str, Any]:
    checked = dict(request)
    if checked.get("device_ids") == []:
        del checked["device_ids"]
        return checked
    if checked.get("device_ids") and checked.get("count") is not None:
        raise place.refuses("count and device_ids exclude each other", "keep one of them")
    if checked.get("count") is None and checked.get("device_ids") is None:
        checked["count"] = -1
    return checked


def reserved_devices(value: Any, place: Place) -> list[dict[str, Any]] | None:
    """`deploy.resources.reservations.devices`. Keeps a count of 0, which Compose drops."""
    if not isinstance(value, list):
        raise place.refuses("a list is expected")
    return [_checked(_RESERVATION(request, place), place) for request in value] or None


def requested_devices(deploy: Mapping[str, Any] | None) -> list[Any]:
    """The device requests in the reservations of a `deploy`."""
    resources = (deploy or {}).get("resources") or {}
    return list((resources.get("reservations") or {}).get("devices") or [])


def gpus(value: Any, place: Place) -> list[dict[str, Any]]:
    """`gpus`."""
    if value == "all":
        return [{"count": -1}]
    if not isinstance(value, list):
        raise place.refuses(f"“{excerpt(value)}” is neither all nor a list", "write all, or a list of requests")
    return [_checked(_GPU_REQUEST(request, place), place) for request in value]


_DEVICE = record({"source": text, "target": text, "permissions": text}, required=("source",))


def devices(value: Any, place: Place) -> list[dict[str, Any]]:
    """Device nodes of the host as mappings; the last of several with the same target wins."""
    if not isinstance(value, list):
        raise place.refuses("a list is expected")
    nodes: list[dict[str, Any]] = []
    for declaration in value:
        if isinstance(declaration, dict):
            entry = dict(_DEVICE(declaration, place))
            if not entry.get("target"):
                raise place.refuses(f"{excerpt(entry['source'])} has no place in the container", "add a target")
            nodes.append(entry)
            continue
        parts = text(declaration, place).split(":")
        if len(parts) > 3:
            raise place.refuses(f"“{excerpt(declaration)}” is no device", "write it like /dev/fuse:/dev/fuse:rwm")
        source, target, rights = (*parts, *("", "")[: 3 - len(parts)])[:3]
        nodes.append({"source": source, "target": target or source, "permissions": rights or "rwm"})
    return unique_targets(nodes)


def is_cdi_gpu(device: str) -> bool:
    """Whether an entry of `devices` names a GPU: Compose's alternative spelling of a CDI request."""
    return device.startswith(f"{CDI_KIND}=")


def write_devices(value: list[dict[str, Any]], host: dict[str, Any]) -> list[str]:
    """Fill `Devices` and return the unsupported entries. GPUs are skipped; they are injected separately."""
    unsupported = []
    for entry in value:
        source = str(entry["source"])
        if is_cdi_gpu(source):
            continue
        if "=" in source:
            unsupported.append(f"devices {source} (a CDI name)")
            continue
        device = {"PathOnHost": source, "PathInContainer": entry.get("target") or source}
        host.setdefault("Devices", []).append({**device, "CgroupPermissions": entry.get("permissions") or "rwm"})
    return unsupported
