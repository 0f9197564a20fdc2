"""Requests for GPUs in Compose files, and devices."""

from collections.abc import Mapping
from typing import Any

from gputui.compose.document import Place
from gputui.compose.mounts import unique_targets
from gputui.compose.scalars import shown, to_int
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


_RESERVED = _request(("capabilities",), opened=False)
_ASKED = _request((), opened=True)


def _checked(request: Mapping[str, Any], place: Place) -> dict[str, Any]:
    made = dict(request)
    if made.get("device_ids") == []:
        del made["device_ids"]
        return made
    if made.get("device_ids") and made.get("count") is not None:
        raise place.refuses("count and device_ids exclude each other", "keep one of them")
    if made.get("count") is None and made.get("device_ids") is None:
        made["count"] = -1
    return made


def reserved_devices(value: Any, place: Place) -> list[dict[str, Any]] | None:
    """`deploy.resources.reservations.devices`. A count of 0 stays, which Compose leaves out."""
    if not isinstance(value, list):
        raise place.refuses("a list is expected")
    return [_checked(_RESERVED(one, place), place) for one in value] or None


def requested_devices(deploy: Mapping[str, Any] | None) -> list[Any]:
    """The requests for devices in the reservation of a `deploy`."""
    resources = (deploy or {}).get("resources") or {}
    return list((resources.get("reservations") or {}).get("devices") or [])


def gpus(value: Any, place: Place) -> list[dict[str, Any]]:
    """`gpus`."""
    if value == "all":
        return [{"count": -1}]
    if not isinstance(value, list):
        raise place.refuses(f"“{shown(value)}” is neither all nor a list", "write all, or a list of requests")
    return [_checked(_ASKED(one, place), place) for one in value]


_DEVICE = record({"source": text, "target": text, "permissions": text}, required=("source",))


def devices(value: Any, place: Place) -> list[dict[str, Any]]:
    """Nodes of the host, each as a mapping; of two with the same target the later one counts."""
    if not isinstance(value, list):
        raise place.refuses("a list is expected")
    made: list[dict[str, Any]] = []
    for one in value:
        if isinstance(one, dict):
            entry = dict(_DEVICE(one, place))
            if not entry.get("target"):
                raise place.refuses(f"{shown(entry['source'])} has no place in the container", "add a target")
            made.append(entry)
            continue
        parts = text(one, place).split(":")
        if len(parts) > 3:
            raise place.refuses(f"“{shown(one)}” is no device", "write it like /dev/fuse:/dev/fuse:rwm")
        source, target, rights = (*parts, *("", "")[: 3 - len(parts)])[:3]
        made.append({"source": source, "target": target or source, "permissions": rights or "rwm"})
    return unique_targets(made)


def is_cdi_gpu(device: str) -> bool:
    """Whether an entry of `devices` names a GPU: Compose's other spelling of a CDI request."""
    return device.startswith(f"{CDI_KIND}=")


def write_devices(value: list[dict[str, Any]], host: dict[str, Any]) -> list[str]:
    """Fill `Devices`; what gputui does not support. GPUs are given as the service's GPUs are."""
    unsupported = []
    for one in value:
        source = str(one["source"])
        if is_cdi_gpu(source):
            continue
        if "=" in source:
            unsupported.append(f"devices {source} (a CDI name)")
            continue
        device = {"PathOnHost": source, "PathInContainer": one.get("target") or source}
        host.setdefault("Devices", []).append({**device, "CgroupPermissions": one.get("permissions") or "rwm"})
    return unsupported
