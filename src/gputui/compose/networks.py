"""The networks and volumes of a project, and the networks that a service joins."""

from collections.abc import Mapping
from typing import Any

from gputui.compose.document import Located, Place
from gputui.compose.mounts import Named
from gputui.compose.shapes import (
    boolean,
    by_name,
    number,
    record,
    sequence,
    text,
    text_pairs,
    texts,
    unrepeated,
)
from gputui.domain import compose_labels
from gputui.domain.compose import Resource
from gputui.domain.text import clean


def _priority(value: Any, place: Place) -> int:
    if isinstance(value, (str, bool)):
        raise place.refuses(f"“{clean(str(value), 40)}” is not a number", "write a number like 3")
    return int(number(value, place))


_ENDPOINT = record(
    {
        "aliases": lambda value, place: unrepeated(texts(value, place)),
        "ipv4_address": text,
        "ipv6_address": text,
        "link_local_ips": lambda value, place: unrepeated(texts(value, place)),
        "mac_address": text,
        "interface_name": text,
        "driver_opts": text_pairs,
        "priority": _priority,
        "gw_priority": _priority,
    }
)
service_networks = by_name(_ENDPOINT, bare=True)
"""`networks` of a service."""

_IPAM = record(
    {
        "driver": text,
        "config": sequence(
            record({"subnet": text, "ip_range": text, "gateway": text, "aux_addresses": text_pairs}),
        ),
        "options": text_pairs,
    }
)


def _external(value: Any, place: Place) -> Any:
    return value if isinstance(value, Mapping) else boolean(value, place)


network = record(
    {
        "name": text,
        "driver": text,
        "driver_opts": text_pairs,
        "ipam": _IPAM,
        "external": _external,
        "internal": boolean,
        "attachable": boolean,
        "enable_ipv4": boolean,
        "enable_ipv6": boolean,
        "labels": text_pairs,
    }
)
volume = record({"name": text, "driver": text, "driver_opts": text_pairs, "external": _external, "labels": text_pairs})
file_grant = record(
    {
        "name": text,
        "file": text,
        "environment": text,
        "content": text,
        "external": _external,
        "labels": text_pairs,
        "driver": text,
        "driver_opts": text_pairs,
        "template_driver": text,
    }
)


def resources(model: Mapping[str, Any], section: str, project: str) -> dict[str, tuple[str, Resource | None]]:
    """The networks or volumes of a project by key: the name on the engine, and how to create those that the project
    owns (None for external ones)."""
    by_key: dict[str, tuple[str, Resource | None]] = {}
    for key, entry in (model.get(section) or {}).items():
        settings: Mapping[str, Any] = entry or {}
        name = str(settings.get("name") or f"{project}_{key}")
        labels = {
            **(settings.get("labels") or {}),
            compose_labels.PROJECT: project,
            f"com.docker.compose.{section.removesuffix('s')}": key,
        }
        body = _network_body(settings) if section == "networks" else _volume_body(settings)
        resource = None if settings.get("external") else Resource(key=key, name=name, body={**body, "Labels": labels})
        by_key[key] = (name, resource)
    return by_key


def _network_body(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The body of `POST /networks/create`."""
    body: dict[str, Any] = {
        "Driver": settings.get("driver") or "bridge",
        "Options": settings.get("driver_opts") or {},
        "Internal": bool(settings.get("internal")),
        "Attachable": bool(settings.get("attachable")),
        "EnableIPv6": bool(settings.get("enable_ipv6")),
    }
    if settings.get("enable_ipv4") is not None:
        body["EnableIPv4"] = bool(settings["enable_ipv4"])
    ipam = settings.get("ipam")
    if ipam:
        names = {"subnet": "Subnet", "ip_range": "IPRange", "gateway": "Gateway", "aux_addresses": "AuxiliaryAddresses"}
        pools = [
            {names[key]: value for key, value in pool.items() if key in names} for pool in ipam.get("config") or []
        ]
        body["IPAM"] = {
            "Driver": ipam.get("driver") or "default",
            "Config": pools,
            "Options": ipam.get("options") or {},
        }
    return body


def _volume_body(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The body of `POST /volumes/create`."""
    options = settings.get("driver_opts")
    return {"Driver": settings.get("driver") or "local", **({"DriverOpts": options} if options else {})}


def endpoints(
    value: Mapping[str, Any], names: tuple[str, str], networks: Named, place: Place
) -> list[tuple[str, dict[str, Any]]]:
    """The networks that a service joins, with its endpoint in each; the container is created with the first.
    `names` are the container and service names, by which other containers reach it.

    Raises:
        UsageError: a network is not declared.
    """
    attachments = []
    for key in sorted(value, key=lambda key: (-int((value[key] or {}).get("priority") or 0), key)):
        if key not in networks:
            raise place.refuses(f"the network {clean(key, 60)} is not declared", "add it to networks:")
        settings = value[key] or {}
        endpoint: dict[str, Any] = {"Aliases": unrepeated([*names, *(settings.get("aliases") or [])])}
        address = {
            "IPv4Address": settings.get("ipv4_address"),
            "IPv6Address": settings.get("ipv6_address"),
            "LinkLocalIPs": settings.get("link_local_ips"),
        }
        if any(address.values()):
            endpoint["IPAMConfig"] = {name: setting for name, setting in address.items() if setting}
        for option, engine_field in (
            ("driver_opts", "DriverOpts"),
            ("mac_address", "MacAddress"),
            ("gw_priority", "GwPriority"),
        ):
            if settings.get(option):
                endpoint[engine_field] = settings[option]
        attachments.append((networks[key][0], endpoint))
    return attachments


def with_own_file(entry: Located, place: Place) -> Located:
    """A network, volume, secret or config with `external: {name: …}` turned into `name`."""
    external = entry.get("external")
    if isinstance(external, Mapping):
        entry["name"] = text(external.get("name"), place)
        entry["external"] = True
    return entry
