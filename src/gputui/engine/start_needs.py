"""The prerequisites of starting an existing container."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gputui.domain.gpu import GPU_NODE_PATH
from gputui.domain.text import clean, mapping, sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class StartNeeds:
    """What must exist: the containers whose namespaces it uses, by namespace (they must run), the containers that it is
    linked to, its networks (name → id), the host paths of its mounts and devices, its volumes, and its image."""

    namespaces: Mapping[str, str]
    links: tuple[str, ...]
    networks: Mapping[str, str]
    paths: tuple[str, ...]
    volumes: tuple[str, ...]
    image: str
    files: str
    """A file that the engine stores for it on its host."""


_NAMESPACES = {"NetworkMode": "network", "IpcMode": "IPC", "PidMode": "pids"}
_PLAIN_NETWORKS = ("", "default", "bridge", "host", "none", "private", "pasta", "slirp4netns")
"""Modes that are not networks to look up; the last ones are Podman's."""


def start_needs(data: Mapping[str, Any]) -> StartNeeds:
    """The prerequisites according to raw inspect data."""
    host = mapping(data.get("HostConfig"))
    namespaces = {}
    for key, namespace in _NAMESPACES.items():
        kind, _, container = str(host.get(key) or "").partition(":")
        if kind == "container" and container:
            namespaces[namespace] = container
    for source in sequence(host.get("VolumesFrom")):
        namespaces[f"volumes of {str(source).partition(':')[0]}"] = str(source).partition(":")[0]
    mounts = [mapping(mount) for mount in sequence(data.get("Mounts"))]
    devices = [str(mapping(device).get("PathOnHost") or "") for device in sequence(host.get("Devices"))]
    # Missing GPUs are reported as findings; the container has to be moved to another GPU.
    devices = [path for path in devices if not GPU_NODE_PATH.match(path)]
    networks = {
        str(name): str(mapping(network).get("NetworkID") or name)
        for name, network in mapping(mapping(data.get("NetworkSettings")).get("Networks")).items()
    }
    # A container made from its spec rejoins a network that this one was disconnected from.
    first = str(host.get("NetworkMode") or "")
    if ":" not in first and first not in networks.values():
        networks.setdefault(first, first)
    return StartNeeds(
        namespaces=namespaces,
        links=tuple(str(link).partition(":")[0].lstrip("/") for link in sequence(host.get("Links"))),
        networks={name: identity for name, identity in networks.items() if name not in _PLAIN_NETWORKS},
        paths=tuple(
            dict.fromkeys([*(str(mount.get("Source")) for mount in mounts if mount.get("Type") == "bind"), *devices])
        ),
        volumes=tuple(str(mount["Name"]) for mount in mounts if mount.get("Type") == "volume" and mount.get("Name")),
        image=str(data.get("Image") or ""),
        files=str(data.get("HostsPath") or data.get("ResolvConfPath") or ""),
    )


def is_there(path: str) -> bool:
    """Whether this absolute path exists and is visible to this user."""
    return path.startswith("/") and os.path.lexists(path)


def is_gone(path: str) -> bool:
    """Whether this absolute path does not exist; False if this user may not see it."""
    if not path.startswith("/"):
        return False
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def readable_name(name: str) -> str:
    """A name, or an id in its short form."""
    is_id = len(name) == 64 and all(sign in "0123456789abcdef" for sign in name)
    return name[:12] if is_id else clean(name, 100)
