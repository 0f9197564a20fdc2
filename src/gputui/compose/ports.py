"""Ports of a service: parsing them, and writing them for the engine."""

import re
from ipaddress import ip_address
from typing import Any

from gputui.compose.document import Place
from gputui.compose.scalars import excerpt, to_int
from gputui.compose.shapes import one_of, record, text
from gputui.domain.text import whole_number

_RANGE = r"[0-9]{1,5}(?:-[0-9]{1,5})?"
_PROTOCOLS = ("tcp", "udp", "sctp")


def _published(value: Any, place: Place) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    port = text(value, place)
    if port and not re.fullmatch(_RANGE, port):
        raise place.refuses(f"“{excerpt(port)}” is no port", "write a number, or a range like 8000-8010")
    return port


_LONG = record(
    {
        "name": text,
        "mode": one_of("ingress", "host"),
        "host_ip": text,
        "target": lambda value, place: to_int(value, place, least=0, most=65535),
        "published": _published,
        "protocol": text,
        "app_protocol": text,
    },
    required=("target",),
)


def ports(value: Any, place: Place) -> list[dict[str, Any]]:
    """Each port as a mapping; of duplicates the last one wins."""
    if not isinstance(value, list):
        raise place.refuses("a list is expected")
    entries: list[dict[str, Any]] = []
    for declaration in value:
        if isinstance(declaration, dict):
            entries.append({"mode": "ingress", "protocol": "tcp", **_LONG(declaration, place)})
        elif isinstance(declaration, str) or (isinstance(declaration, int) and not isinstance(declaration, bool)):
            entries += _short(str(declaration), place)
        else:
            raise place.refuses(f"“{excerpt(declaration)}” is no port", "write host:container")
    return unique_ports(entries)


def unique_ports(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries without those that a later one for the same port replaces."""
    unique: dict[tuple[Any, ...], dict[str, Any]] = {}
    for entry in entries:
        key = (entry.get("host_ip") or "0.0.0.0", entry.get("published"), entry["target"], entry.get("protocol"))
        unique[key] = entry
    return list(unique.values())


def _short(spec: str, place: Place) -> list[dict[str, Any]]:
    mapping, _, protocol = spec.partition("/")
    protocol = protocol.lower() or "tcp"
    host_side, _, target = mapping.rpartition(":")
    host, _, published = host_side.rpartition(":")
    address = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if protocol not in _PROTOCOLS or (address and not _is_address(address)):
        raise place.refuses(f"“{excerpt(spec)}” is no port", "write host:container")
    inside, outside = _numbers(target, place), _numbers(published, place) if published else []
    if outside and len(outside) != len(inside):
        if len(inside) != 1:
            raise place.refuses(f"the ranges of “{excerpt(spec)}” have different lengths", "give both as many ports")
        return [_entry(inside[0], protocol, address, published)]
    placed = [str(port) for port in outside] or [""] * len(inside)
    entries = [_entry(port, protocol, address, out) for port, out in zip(inside, placed, strict=True)]
    return sorted(entries, key=lambda entry: str(entry["target"])) if len(entries) > 1 else entries


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _entry(target: int, protocol: str, address: str, published: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"mode": "ingress", "target": target, "protocol": protocol}
    entry |= {"host_ip": address} if address else {}
    return entry | ({"published": published} if published else {})


def _numbers(spec: str, place: Place) -> list[int]:
    first, _, last = spec.partition("-")
    start, end = whole_number(first, most=65535), whole_number(last or first, most=65535)
    if not re.fullmatch(_RANGE, spec) or start is None or end is None or end < start:
        raise place.refuses(f"“{excerpt(spec)}” is no port", "ports are numbers up to 65535")
    return list(range(start, end + 1))


def write_ports(value: list[dict[str, Any]], body: dict[str, Any], host: dict[str, Any]) -> None:
    """Fill `ExposedPorts` and `PortBindings`."""
    bindings: dict[str, list[dict[str, str]]] = {}
    for entry in value:
        binding = {"HostIp": str(entry.get("host_ip") or ""), "HostPort": str(entry.get("published") or "")}
        bindings.setdefault(f"{entry['target']}/{entry.get('protocol') or 'tcp'}", []).append(binding)
    body["ExposedPorts"] = {**body.get("ExposedPorts", {}), **{port: {} for port in bindings}}
    if bindings:
        host["PortBindings"] = bindings
