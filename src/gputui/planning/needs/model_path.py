"""Where a service's model files are on the host."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from gputui.domain.launch import Launch, Mount

HUB_CACHES = ("/root/.cache/huggingface/hub", "/data", "/root/.cache/huggingface", "/models", "/hf-cache/hub")
"""Where containers keep downloads, unless a variable says otherwise (huggingface_hub, TGI's image)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlace:
    """Where a model may be: `paths` on the host, best first; a hub model is `hub_name` below one of them.

    `roots` are the volumes that contain the paths. `unmounted` is a container path that no volume covers.
    """

    paths: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    hub_name: str | None = None
    unmounted: str | None = None


def place_of(model: str | None, launch: Launch, aliases: Mapping[str, str]) -> ModelPlace:
    """Where the files of `model` (a path in the container, or a hub name) are on the host.

    `aliases` are path prefixes for the same place, such as `/ceph` → `/fsx`.
    """
    if not model or "\x00" in model or ".." in PurePosixPath(model).parts:
        return ModelPlace()
    if model.startswith("/"):
        container_paths = with_aliases(model, aliases)
        # An alias may also name the host path itself.
        host_paths = [
            path for container_path in container_paths for path in on_host(container_path, launch.mounts)
        ] or container_paths[1:]
        if not host_paths:
            return ModelPlace(unmounted=model)
        paths = _distinct(path for host_path in host_paths for path in with_aliases(host_path, aliases))
        return ModelPlace(paths=paths, roots=_distinct(mount.source for mount in launch.mounts if not mount.is_volume))
    if model.startswith(".") or model.endswith(".gguf"):
        directory = launch.working_directory or "/"
        return place_of(str(PurePosixPath(directory) / model), launch, aliases)
    environment = launch.environment
    cache_paths = [environment[key] for key in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE") if environment.get(key)]
    cache_paths += [f"{environment['HF_HOME']}/hub"] if environment.get("HF_HOME") else []
    roots = [path for cache in (*cache_paths, *HUB_CACHES) for path in on_host(cache, launch.mounts)]
    if model.count("/") > 1:
        return ModelPlace()
    return ModelPlace(paths=_distinct(roots), hub_name=f"models--{model.replace('/', '--')}")


def on_host(path: str, mounts: Sequence[Mount]) -> list[str]:
    """The host paths that a container sees as `path`; empty if no volume covers it."""
    best: Mount | None = None
    for mount in mounts:
        inside = path == mount.target or path.startswith(mount.target.rstrip("/") + "/")
        if inside and (best is None or len(mount.target) > len(best.target)):
            best = mount
    if best is None or best.is_volume:
        # Only the engine knows where a named volume is; it counts as mounted.
        return [] if best is None else [""]
    return [best.source.rstrip("/") + path[len(best.target.rstrip("/")) :] or "/"]


def with_aliases(path: str, aliases: Mapping[str, str]) -> list[str]:
    """The path and its equivalents under each alias, in both directions."""
    paths = [path]
    for alias, target in aliases.items():
        for prefix, replacement in ((alias.rstrip("/"), target.rstrip("/")), (target.rstrip("/"), alias.rstrip("/"))):
            if prefix and (path == prefix or path.startswith(prefix + "/")):
                paths.append(replacement + path[len(prefix) :])
    return paths


def _distinct(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for path in paths if path))
