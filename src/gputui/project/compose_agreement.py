"""Whether two readings of a Compose project say the same."""

from typing import Any

from gputui.domain import compose_labels
from gputui.domain.compose import ComposeProject, ComposeService

_UNORDERED = {"Env", "Binds", "Mounts", "Aliases", "CapAdd", "CapDrop", "ExtraHosts", "Ulimits"}


def disagreements(ours: ComposeProject, theirs: ComposeProject) -> tuple[str, ...]:
    """Where they differ, as `service: field` or the name of a service that only one has."""
    found = []
    mine = {service.name: service for service in ours.services}
    other = {service.name: service for service in theirs.services}
    for name in sorted(mine.keys() | other.keys()):
        if name not in mine or name not in other:
            found.append(name)
            continue
        one, two = _fields(mine[name]), _fields(other[name])
        found += [f"{name}: {field}" for field in sorted(one.keys() | two.keys()) if one.get(field) != two.get(field)]
    # What no service uses, Compose leaves out.
    used = {resource.name: _plain(resource.body) for resource in (*theirs.networks, *theirs.volumes)}
    for resource in (*ours.networks, *ours.volumes):
        if resource.name in used and _plain(resource.body) != used[resource.name]:
            found.append(f"{resource.key} (network or volume)")
    return tuple(found)


def _fields(service: ComposeService) -> dict[str, Any]:
    body = dict(service.body)
    host = body.pop("HostConfig", {})
    found = {**body, **host, "networks": service.networks, "gpus": service.gpus, "gpu_count": service.gpu_count}
    found |= {"vram": service.vram_mib, "backend": service.backend, "container_name": service.container_name}
    return {name: _plain(value, name) for name, value in found.items() if _plain(value, name) not in _NOTHING}


_NOTHING: tuple[Any, ...] = (None, "", [], {}, (), False, 0)


def _plain(value: Any, name: str = "") -> Any:
    """Without what is empty, and without order where order means nothing."""
    if isinstance(value, dict):
        inner = {key: _plain(one, str(key)) for key, one in value.items()}
        return {key: one for key, one in inner.items() if one not in _NOTHING or key.endswith(("/tcp", "/udp"))}
    if isinstance(value, (list, tuple)):
        listed = [_plain(one) for one in value]
        return sorted(listed, key=str) if name in _UNORDERED else listed
    if name == compose_labels.DEPENDS_ON:
        return ",".join(sorted(str(value).split(",")))
    return value
