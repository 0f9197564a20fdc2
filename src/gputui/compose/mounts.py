"""Volumes, tmpfs, secrets and configs of a service: parsing them, and writing them for the engine."""

import re
from collections.abc import Mapping
from pathlib import Path
from posixpath import normpath
from typing import Any

from gputui.compose.document import Place
from gputui.compose.scalars import excerpt, to_int
from gputui.compose.shapes import boolean, record, size, text, text_pairs
from gputui.domain.compose import Resource
from gputui.domain.text import clean, whole_number

Named = Mapping[str, tuple[str, Resource | None]]
"""Networks or volumes by their key: the name on the engine, and how to create it (None for external ones)."""

_BIND_KEYS = ("create_host_path", "propagation", "selinux")
_PROPAGATION = ("rprivate", "private", "rshared", "shared", "rslave", "slave")

_BIND = record({"propagation": text, "create_host_path": boolean, "recursive": text, "selinux": text})


def _bind(value: Any, place: Place) -> dict[str, Any]:
    return {key: inner for key, inner in _BIND(value, place).items() if inner is not False}


_LONG = record(
    {
        "type": text,
        "source": text,
        "target": text,
        "read_only": boolean,
        "consistency": text,
        "bind": _bind,
        "volume": record({"labels": text_pairs, "nocopy": boolean, "subpath": text}),
        "tmpfs": record({"size": size, "mode": lambda value, place: to_int(value, place, least=0)}),
        "image": record({"subpath": text}),
    },
    required=("type",),
)


def absolute_path(source: str, place: Place) -> str:
    """An absolute path on the host; `~` is expanded, and `..` is normalised without following symlinks.

    Raises:
        UsageError: the home directory does not exist.
    """
    try:
        path = Path(source).expanduser()
    except RuntimeError:
        raise place.refuses(f"{excerpt(source)} names no home directory", "write the whole path") from None
    return normpath(place.directory / path)


def mounts(value: Any, place: Place) -> list[dict[str, Any]]:
    """Each mount as a mapping; the last of several with the same target wins."""
    if not isinstance(value, list):
        raise place.refuses("a list is expected")
    return unique_targets([_mount(entry, place) for entry in value])


def unique_targets(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries without those that a later one with the same target replaces."""
    return list({str(entry.get("target") or entry.get("source")): entry for entry in entries}.values())


def _mount(value: Any, place: Place) -> dict[str, Any]:
    if isinstance(value, dict):
        mount = dict(_LONG(value, place))
        if mount["type"] == "bind":
            mount["source"] = absolute_path(mount.get("source") or ".", place)
    else:
        mount = _short(text(value, place), place)
    if not mount.get("target"):
        raise place.refuses("a volume without a place in the container", "write source:target")
    mount["target"] = normpath(mount["target"])
    return {key: inner for key, inner in mount.items() if inner not in (None, False, "")}


_DRIVE = re.compile(r"[A-Za-z]:[^:]*")
"""A Windows drive; Compose also takes a volume with a one-letter name for one."""


def _short(spec: str, place: Place) -> dict[str, Any]:
    drive = _DRIVE.match(spec)
    parts = [drive[0], *spec[drive.end() + 1 :].split(":")] if drive else spec.split(":")
    if parts[-1] == "" and drive:
        parts.pop()
    if len(parts) == 1:
        return {"type": "volume", "target": spec, **({"volume": {}} if len(spec) > 2 else {})}
    if drive:
        return {"type": "bind", "source": parts[0], "target": parts[1], "bind": {"create_host_path": True}}
    if len(parts) > 3 or not all(parts[:2]):
        raise place.refuses(f"“{excerpt(spec)}” is no volume", "write source:target or source:target:ro")
    options = parts[2].split(",") if len(parts) > 2 else []
    is_path = parts[0].startswith((".", "/", "~"))
    mount: dict[str, Any] = {"type": "bind" if is_path else "volume", "source": parts[0], "target": parts[1]}
    bind: dict[str, Any] = {}
    for option in options:
        if option in _PROPAGATION:
            bind["propagation"] = option
        elif option in ("z", "Z"):
            bind["selinux"] = option
    if is_path:
        mount["source"] = parts[0] if parts[0].startswith("/") else absolute_path(parts[0], place)
        mount["bind"] = {"create_host_path": True, **bind}
    else:
        mount["volume"] = {"nocopy": True} if "nocopy" in options else {}
        mount |= {"bind": bind} if bind else {}
    return mount | ({"read_only": True} if "ro" in options else {})


def write_mounts(value: list[dict[str, Any]], volumes: Named, host: dict[str, Any], place: Place) -> list[str]:
    """Fill `Binds` and `Mounts` and return the unsupported entries.

    As in Compose, binds and named volumes without further options go into `Binds`, everything else into `Mounts`.

    Raises:
        UsageError: a volume is not declared.
    """
    unsupported: list[str] = []
    for volume in value:
        options = ["ro" if volume.get("read_only") else "rw"]
        bind = volume.get("bind") or {}
        unsupported += [f"volumes.bind.{key}" for key in bind if key not in _BIND_KEYS]
        options += [str(bind[key]) for key in ("selinux", "propagation") if bind.get(key)]
        mount = {"Target": volume["target"], "ReadOnly": bool(volume.get("read_only"))}
        match volume["type"]:
            # Compose, `requireMountAPI`: a bind whose options do not allow creating its directory is a mount.
            case "bind" if volume.get("bind") is None or bind.get("create_host_path"):
                host["Binds"].append(f"{volume['source']}:{volume['target']}:{','.join(options)}")
            case "bind":
                propagation = bind.get("propagation")
                settings = {"Propagation": propagation} if propagation else {}
                host["Mounts"].append({"Type": "bind", "Source": volume["source"], **mount, "BindOptions": settings})
            case "tmpfs":
                host["Mounts"].append(_tmpfs(volume))
            case "volume":
                unsupported += _volume(volume, volumes, options, host, place)
            case kind:
                unsupported.append(f"volumes.type {clean(str(kind), 40)}")
    return unsupported


def _tmpfs(volume: Mapping[str, Any]) -> dict[str, Any]:
    settings = volume.get("tmpfs") or {}
    values = {"SizeBytes": whole_number(settings.get("size")), "Mode": whole_number(settings.get("mode"))}
    options = {key: value for key, value in values.items() if value}
    return {"Type": "tmpfs", "Target": volume["target"], **({"TmpfsOptions": options} if options else {})}


def _volume(
    volume: Mapping[str, Any], volumes: Named, options: list[str], host: dict[str, Any], place: Place
) -> list[str]:
    source, settings = volume.get("source"), volume.get("volume") or {}
    if source and source not in volumes:
        raise place.refuses(f"the volume {clean(source, 60)} is not declared", "add it to volumes:")
    engine_name = volumes[source][0] if source else ""
    if engine_name and not settings.get("nocopy"):
        host["Binds"].append(f"{engine_name}:{volume['target']}:{','.join(options)}")
    else:
        mount = {"Type": "volume", "Target": volume["target"], "ReadOnly": bool(volume.get("read_only"))}
        mount |= {"Source": engine_name} if engine_name else {}
        nocopy = {"VolumeOptions": {"NoCopy": True}} if settings.get("nocopy") else {"VolumeOptions": {}}
        host["Mounts"].append({**mount, **nocopy})
    return [f"volumes.volume.{key}" for key in settings if key not in ("nocopy",)]


def _mode(value: Any, place: Place) -> str:
    """A file mode in octal digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"0{value:o}"
    try:
        return f"0{int(text(value, place)[:12], 8):o}"
    except ValueError:
        raise place.refuses(f"“{excerpt(value)}” is no file mode", "write it like 0440") from None


_GRANT = record(
    {"source": text, "target": text, "uid": text, "gid": text, "mode": _mode},
    required=("source",),
)


def grants(folder: str | None) -> Any:
    """The shape of a service's secrets or configs; those without a target are placed in `folder`, if given."""

    def shape(value: Any, place: Place) -> list[dict[str, Any]]:
        if not isinstance(value, list):
            raise place.refuses("a list is expected")
        entries = [
            dict(_GRANT(entry, place)) if isinstance(entry, dict) else {"source": text(entry, place)} for entry in value
        ]
        if folder is not None:
            entries = [{**entry, "target": entry.get("target") or folder + entry["source"]} for entry in entries]
        return unique_targets(entries)

    return shape


def write_grants(
    section: str, value: list[dict[str, Any]], declared: Mapping[str, Any], host: dict[str, Any], place: Place
) -> list[str]:
    """Mount the secrets or configs that are files, and return the others, which are unsupported.

    Raises:
        UsageError: one is not declared.
    """
    unsupported = []
    folder = "/run/secrets/" if section == "secrets" else "/"
    for grant in value:
        name = grant["source"]
        if name not in declared:
            kind = section.removesuffix("s")
            raise place.refuses(f"the {kind} {clean(name, 60)} is not declared", f"add it to {section}:")
        settings = declared[name] or {}
        if not settings.get("file"):
            unsupported.append(f"{section}.{clean(name, 60)} (not a file)")
            continue
        target = str(grant.get("target") or name)
        target = target if target.startswith("/") else folder + target
        mount = {"Type": "bind", "Source": str(settings["file"]), "Target": target, "ReadOnly": True}
        host["Mounts"].append({**mount, "BindOptions": {}} if section == "secrets" else mount)
    return unsupported
