"""Volumes, secrets and configs of a service as the engine's create call takes them."""

from collections.abc import Mapping
from pathlib import Path
from posixpath import normpath
from typing import Any

from gputui.domain.compose import Resource
from gputui.domain.errors import UsageError
from gputui.domain.text import clean
from gputui.project.compose_values import size_bytes, texts
from gputui.project.compose_yaml import Located

Named = Mapping[str, tuple[str, Resource | None]]

_SHORT_OPTIONS = {"ro", "rw", "z", "Z", "nocopy", "cached", "delegated", "consistent", "rshared", "rslave", "rprivate",
                  "shared", "slave", "private"}  # fmt: skip
_LONG_KEYS = {"type", "source", "target", "read_only", "bind", "volume", "tmpfs", "consistency"}
_LONG_INNER = {
    "bind": {"create_host_path", "propagation", "selinux"},
    "volume": {"nocopy"},
    "tmpfs": {"size", "mode"},
}


def storage(entry: Located, volumes: Named, host: dict[str, Any]) -> list[str]:
    """Fill `Binds` and `Mounts`; the options that are not carried.

    Binds and named volumes without options of their own go into `Binds`, all else into `Mounts`, as Compose does it.

    Raises:
        UsageError: a volume is not declared, or has no place in the container.
    """
    binds: list[str] = []
    mounts: list[dict[str, Any]] = []
    left: list[str] = []
    for one in entry.get("volumes") or []:
        long = _long(str(one)) if not isinstance(one, dict) else dict(one)
        left += long.pop("not carried", [])
        left += _not_carried(one) if isinstance(one, dict) else []
        target = str(long.get("target") or "")
        if not target:
            where = entry.where("volumes")
            raise UsageError(f"{where}: a volume without a place in the container", "write source:target")
        _place(entry, long, normpath(target), volumes, binds, mounts)
    host["Binds"] = binds
    host["Mounts"] = mounts
    return left


def _long(text: str) -> dict[str, Any]:
    """The short form as the long one."""
    parts = text.split(":")
    if len(parts) == 1:
        return {"type": "volume", "target": parts[0], "volume": {}}
    options = parts[2].split(",") if len(parts) > 2 else []
    kind = "bind" if parts[0].startswith(("/", ".", "~")) else "volume"
    found: dict[str, Any] = {"type": kind, "source": parts[0], "target": parts[1], "read_only": "ro" in options}
    found["options"] = [
        one for one in options if one in ("z", "Z") or "shared" in one or "slave" in one or "priv" in one
    ]
    found["volume"] = {"nocopy": True} if "nocopy" in options else None
    found["not carried"] = [f"volumes :{clean(one, 40)}" for one in options if one and one not in _SHORT_OPTIONS]
    return found


def _not_carried(one: Mapping[str, Any]) -> list[str]:
    found = [f"volumes.{key}" for key in one if key not in _LONG_KEYS and one[key]]
    if one.get("type") not in ("bind", "volume", "tmpfs"):
        found.append(f"volumes.type {clean(str(one.get('type')), 40)}")
    for section, known in _LONG_INNER.items():
        inner = one.get(section)
        if isinstance(inner, Mapping):
            found += [f"volumes.{section}.{key}" for key in inner if key not in known]
    return found


def _place(
    entry: Located,
    long: Mapping[str, Any],
    target: str,
    volumes: Named,
    binds: list[str],
    mounts: list[dict[str, Any]],
) -> None:
    kind, source = long.get("type"), str(long.get("source") or "")
    options = ["ro" if long.get("read_only") else "rw", *(long.get("options") or [])]
    if kind == "bind":
        settings = long.get("bind") or {}
        options += [str(settings[key]) for key in ("selinux", "propagation") if settings.get(key)]
        if settings.get("create_host_path", True):
            binds.append(f"{source}:{target}:{','.join(options)}")
        else:
            mount = {"Type": "bind", "Source": source, "Target": target, "ReadOnly": bool(long.get("read_only"))}
            propagation = settings.get("propagation")
            mounts.append({**mount, "BindOptions": {"Propagation": propagation} if propagation else {}})
    elif kind == "tmpfs":
        given = long.get("tmpfs") or {}
        made: dict[str, Any] = {}
        if given.get("size"):
            made["SizeBytes"] = size_bytes(str(given["size"]), entry.where("volumes"))
        if given.get("mode"):
            made["Mode"] = int(given["mode"])
        mounts.append({"Type": "tmpfs", "Target": target, **({"TmpfsOptions": made} if made else {})})
    elif kind == "volume":
        if source and source not in volumes:
            raise UsageError(
                f"{entry.where('volumes')}: the volume {clean(source, 60)} is not declared", "add it to volumes:"
            )
        named = volumes[source][0] if source else ""
        nocopy = bool((long.get("volume") or {}).get("nocopy"))
        if named and not nocopy:
            binds.append(f"{named}:{target}:{','.join(options)}")
        else:
            mount = {"Type": "volume", "Target": target, "ReadOnly": bool(long.get("read_only"))}
            mount |= {"Source": named} if named else {}
            mounts.append({**mount, "VolumeOptions": {"NoCopy": True} if nocopy else {}})


def grants(entry: Located, section: str, declared: Mapping[str, Any], host: dict[str, Any]) -> list[str]:
    """Mount the secrets or configs of a service that are files; the others are not carried.

    Raises:
        UsageError: one is not declared.
    """
    left = []
    folder = "/run/secrets/" if section == "secrets" else "/"
    for one in entry.get(section) or []:
        given = one if isinstance(one, dict) else {"source": one}
        name = str(given.get("source"))
        if name not in declared:
            kind = section.removesuffix("s")
            raise UsageError(
                f"{entry.where(section)}: the {kind} {clean(name, 60)} is not declared", f"add it to {section}:"
            )
        settings = declared[name] or {}
        if not settings.get("file"):
            left.append(f"{section}.{clean(name, 60)} (not a file)")
            continue
        target = str(given.get("target") or name)
        target = target if target.startswith("/") else folder + target
        mount = {"Type": "bind", "Source": str(settings["file"]), "Target": target, "ReadOnly": True}
        host["Mounts"].append({**mount, "BindOptions": {}} if section == "secrets" else mount)
    return left


def grantable(whole: Located, section: str, directory: Path) -> dict[str, Any]:
    """The secrets or configs of a project, with the paths of their files made absolute."""
    found: dict[str, Any] = {}
    for name, settings in (whole.get(section) or {}).items():
        given = dict(settings or {})
        if given.get("file"):
            given["file"] = str(directory / str(given["file"]))
        found[name] = given
    return found


def tmpfs(entry: Located) -> dict[str, str]:
    """`tmpfs` of a service: place → options."""
    given = entry.get("tmpfs") or []
    places = given if isinstance(given, list) else [given]
    return texts({str(place).partition(":")[0]: str(place).partition(":")[2] for place in places})
