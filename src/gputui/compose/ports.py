"""Ports of a service: how they are written, and how the engine takes them."""

import re
from ipaddress import ip_address
from typing import Any

from gputui.compose.document import Place
from gputui.compose.scalars import shown, to_int
from gputui.compose.shapes import one_of, record, text
from gputui.domain.text import whole_number

_RANGE = r"[0-9]{1,5}(?:-[0-9]{1,5})?"
_PROTOCOLS = ("tcp", "udp", "sctp")


def _published(value: Any, place: Place) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    given = text(value, place)
    if given and not re.fullmatch(_RANGE, given):
        raise place.refuses(f"“{shown(given)}” is no port", "write a number, or a range like 8000-8010")
    return given


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
    """Each as a mapping; what is published twice counts once, as it is written last."""
    if not isinstance(value, list):
        raise place.refuses("a list is expected")
    made: list[dict[str, Any]] = []
    for one in value:
        if isinstance(one, dict):
            made.append({"mode": "ingress", "protocol": "tcp", **_LONG(one, place)})
        elif isinstance(one, str) or (isinstance(one, int) and not isinstance(one, bool)):
            made += _short(str(one), place)
        else:
            raise place.refuses(f"“{shown(one)}” is no port", "write host:container")
    return unique_ports(made)


def unique_ports(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A later one takes the place of an earlier one that publishes the same."""
    made: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in listed:
        key = (one.get("host_ip") or "0.0.0.0", one.get("published"), one["target"], one.get("protocol"))
        made[key] = one
    return list(made.values())


def _short(written: str, place: Place) -> list[dict[str, Any]]:
    given, _, protocol = written.partition("/")
    protocol = protocol.lower() or "tcp"
    rest, _, target = given.rpartition(":")
    host, _, published = rest.rpartition(":")
    address = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if protocol not in _PROTOCOLS or (address and not _is_address(address)):
        raise place.refuses(f"“{shown(written)}” is no port", "write host:container")
    inside, outside = _numbers(target, place), _numbers(published, place) if published else []
    if outside and len(outside) != len(inside):
        if len(inside) != 1:
            raise place.refuses(f"the ranges of “{shown(written)}” have different lengths", "give both as many ports")
        return [_entry(inside[0], protocol, address, published)]
    placed = [str(port) for port in outside] or [""] * len(inside)
    entries = [_entry(port, protocol, address, out) for port, out in zip(inside, placed, strict=True)]
    return sorted(entries, key=lambda one: str(one["target"])) if len(entries) > 1 else entries


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


def _numbers(written: str, place: Place) -> list[int]:
    first, _, last = written.partition("-")
    start, end = whole_number(first, most=65535), whole_number(last or first, most=65535)
    if not re.fullmatch(_RANGE, written) or start is None or end is None or end < start:
        raise place.refuses(f"“{shown(written)}” is no port", "ports are numbers up to 65535")
    return list(range(start, end + 1))


def write_ports(value: list[dict[str, Any]], body: dict[str, Any], host: dict[str, Any]) -> None:
    """Fill `ExposedPorts` and `PortBindings`."""
    bindings: dict[str, list[dict[str, str]]] = {}
    for one in value:
        binding = {"HostIp": str(one.get("host_ip") or ""), "HostPort": str(one.get("published") or "")}
        bindings.setdefault(f"{one['target']}/{one.get('protocol') or 'tcp'}", []).append(binding)
    body["ExposedPorts"] = {**body.get("ExposedPorts", {}), **{port: {} for port in bindings}}
    if bindings:
        host["PortBindings"] = bindings
