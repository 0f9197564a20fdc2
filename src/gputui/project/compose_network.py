"""Networks and ports of a service, networks and volumes of a project, as the engine's create calls take them."""

import re
from collections.abc import Mapping
from typing import Any

from gputui.domain import compose_labels
from gputui.domain.compose import Resource
from gputui.domain.errors import UsageError
from gputui.domain.text import clean
from gputui.project.compose_values import pairs, scalar, texts
from gputui.project.compose_yaml import Located

Named = Mapping[str, tuple[str, Resource | None]]

_RANGE = r"\d+(?:-\d+)?"
_ADDRESS = r"\[[0-9a-fA-F:]+\]|\d+\.\d+\.\d+\.\d+"
_PORT = re.compile(rf"^(?:(?P<ip>{_ADDRESS}):)?(?:(?P<out>{_RANGE})?:)?(?P<in>{_RANGE})$")


def resources(whole: Located, section: str, project: str) -> dict[str, tuple[str, Resource | None]]:
    """The networks or volumes of a project by their keys: the engine's name of each, and what makes those that the
    project owns (None for external ones)."""
    found: dict[str, tuple[str, Resource | None]] = {}
    entries = dict(whole.get(section) or {})
    if section == "networks":
        entries.setdefault("default", None)
    for key, entry in entries.items():
        settings = entry or {}
        external = settings.get("external")
        named = (external.get("name") if isinstance(external, dict) else None) or settings.get("name")
        name = str(named or (key if external else f"{project}_{key}"))
        labels = {
            **{label: value or "" for label, value in pairs(settings, "labels").items()},
            compose_labels.PROJECT: project,
            f"com.docker.compose.{section.removesuffix('s')}": key,
        }
        body = _network(settings) if section == "networks" else _volume(settings)
        found[key] = (name, None if external else Resource(key=key, name=name, body={**body, "Labels": labels}))
    return found


def _network(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The body that makes a network (`POST /networks/create`)."""
    body: dict[str, Any] = {
        "Driver": settings.get("driver") or "bridge",
        "Options": texts(settings.get("driver_opts")),
        "Internal": bool(settings.get("internal")),
        "Attachable": bool(settings.get("attachable")),
        "EnableIPv6": bool(settings.get("enable_ipv6")),
    }
    ipam = settings.get("ipam")
    if ipam:
        names = {"subnet": "Subnet", "ip_range": "IPRange", "gateway": "Gateway", "aux_addresses": "AuxiliaryAddresses"}
        pools = [
            {names[key]: value for key, value in pool.items() if key in names} for pool in ipam.get("config") or []
        ]
        options = texts(ipam.get("options"))
        body["IPAM"] = {"Driver": ipam.get("driver") or "default", "Config": pools, "Options": options}
    return body


def _volume(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The body that makes a volume (`POST /volumes/create`)."""
    options = texts(settings.get("driver_opts"))
    return {"Driver": settings.get("driver") or "local", **({"DriverOpts": options} if options else {})}


def ports(entry: Located, body: dict[str, Any], host: dict[str, Any]) -> None:
    """Fill `ExposedPorts` and `PortBindings`.

    Raises:
        UsageError: a port is written in no known way.
    """
    bindings: dict[str, list[dict[str, str]]] = {}
    for one in entry.get("ports") or []:
        for target, protocol, address, published in _bindings(entry, one):
            binding = {"HostIp": address, "HostPort": published}
            bindings.setdefault(f"{target}/{protocol}", []).append(binding)
    exposed = [str(one) for one in entry.get("expose") or []]
    if bindings or exposed:
        body["ExposedPorts"] = {port: {} for port in (*exposed, *bindings)}
    if bindings:
        host["PortBindings"] = bindings


def _bindings(entry: Located, one: Any) -> list[tuple[str, str, str, str]]:
    """(port inside, protocol, address, port outside) of one entry."""
    if isinstance(one, dict):
        protocol = str(one.get("protocol") or "tcp")
        published = scalar(one.get("published")) or ""
        return [(str(one.get("target")), protocol, str(one.get("host_ip") or ""), published)]
    text, _, protocol = str(one).partition("/")
    match = _PORT.match(text)
    if match is None:
        raise UsageError(f"{entry.where('ports')}: {clean(str(one), 60)} is not read by gputui", "write host:container")
    inside, outside = _numbers(match["in"]), _numbers(match["out"] or "")
    address = (match["ip"] or "").strip("[]")
    protocol = protocol or "tcp"
    if outside and len(outside) != len(inside):
        if len(inside) != 1:
            what = f"{entry.where('ports')}: the ranges of {clean(str(one), 60)} are not of the same length"
            raise UsageError(what, "give both as many ports")
        return [(str(inside[0]), protocol, address, str(match["out"]))]
    places = [str(port) for port in outside] or [""] * len(inside)
    return [(str(port), protocol, address, place) for port, place in zip(inside, places, strict=True)]


def _numbers(text: str) -> list[int]:
    if not text:
        return []
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def endpoints(entry: Located, names: tuple[str, str], networks: Named) -> list[tuple[str, dict[str, Any]]]:
    """The networks that a service joins, with its endpoint in each; the first is the one that it is created with.
    `names` are those of its container and of itself, by which others find it.

    Raises:
        UsageError: a network is not declared.
    """
    wanted = entry.get("networks") or {"default": None}
    if isinstance(wanted, list):
        wanted = dict.fromkeys(wanted)
    found = []
    for key in sorted(wanted, key=lambda key: (-int((wanted[key] or {}).get("priority") or 0), key)):
        if key not in networks:
            where = entry.where("networks")
            raise UsageError(f"{where}: the network {clean(key, 60)} is not declared", "add it to networks:")
        settings = wanted[key] or {}
        endpoint: dict[str, Any] = {"Aliases": list(dict.fromkeys([*names, *(settings.get("aliases") or [])]))}
        address = {
            "IPv4Address": settings.get("ipv4_address"),
            "IPv6Address": settings.get("ipv6_address"),
            "LinkLocalIPs": settings.get("link_local_ips"),
        }
        if any(address.values()):
            endpoint["IPAMConfig"] = {name: value for name, value in address.items() if value}
        if settings.get("driver_opts"):
            endpoint["DriverOpts"] = texts(settings["driver_opts"])
        if settings.get("mac_address"):
            endpoint["MacAddress"] = str(settings["mac_address"])
        if settings.get("gw_priority"):
            endpoint["GwPriority"] = int(settings["gw_priority"])
        found.append((networks[key][0], endpoint))
    return found
