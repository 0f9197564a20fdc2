"""The GPU capabilities of an engine, from its API and from files on its host."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gputui.domain.injection import CDI_KIND, Capabilities, CdiDevice
from gputui.domain.text import clean, mapping, sequence, whole_number

PODMAN_WITH_GPUS = (5, 4)
"""The first Podman version whose Docker-compatible API honours device requests, for CDI names only (release notes of
5.4.0). Older versions, and all versions for the driver nvidia, silently start the container without a GPU."""

CDI_FOLDERS = ("/etc/cdi", "/var/run/cdi")
"""The default directories of CDI specifications (CDI specification, "Locations")."""

TOOLKIT_CONFIG = Path("/etc/nvidia-container-runtime/config.toml")


def is_podman(version: Mapping[str, Any]) -> bool:
    """Whether the engine is Podman, according to `GET /version`."""
    return any(part.get("Name") == "Podman Engine" for part in map(mapping, sequence(version.get("Components"))))


def capabilities_of(info: Mapping[str, Any], version: Mapping[str, Any], *, same_host: bool) -> Capabilities:
    """The capabilities by `GET /info` and `GET /version`; host files are only read if the engine runs on this host."""
    rootless = any("rootless" in str(option) for option in sequence(info.get("SecurityOptions")))
    cgroup_driver = clean(str(info.get("CgroupDriver") or ""), 40)
    default_runtime = clean(str(info.get("DefaultRuntime") or ""), 60)
    counts = _variable_counts(TOOLKIT_CONFIG) if same_host else None
    if is_podman(version):
        return Capabilities(
            nvidia_driver=False,
            cdi=True,
            cdi_devices=(_described_devices(CDI_FOLDERS) or ()) if same_host else None,
            # Podman lists runtimes that it knows, not those installed, and ignores the runtime of a request.
            runtimes=(),
            default_runtime=default_runtime,
            cgroup_driver=cgroup_driver,
            rootless=rootless,
            too_old=None if _number(version.get("Version")) >= PODMAN_WITH_GPUS else "Podman 5.4",
            variable_counts=counts,
            reports_requests=False,
        )
    folders = [str(folder) for folder in sequence(info.get("CDISpecDirs"))]
    return Capabilities(
        cdi=bool(folders),
        cdi_devices=_cdi_devices(info.get("DiscoveredDevices"), folders, same_host=same_host) if folders else (),
        runtimes=tuple(sorted(clean(str(name), 60) for name in mapping(info.get("Runtimes")))),
        default_runtime=default_runtime,
        cgroup_driver=cgroup_driver,
        rootless=rootless,
        variable_counts=counts,
    )


def _number(version: Any) -> tuple[int, ...]:
    return tuple(whole_number(part) or 0 for part in re.findall(r"[0-9]+", str(version))[:2])


def _cdi_devices(discovered: Any, folders: Sequence[str], *, same_host: bool) -> tuple[CdiDevice, ...] | None:
    """The devices that the engine lists (Docker 28.3 and newer), else those of its specifications, which also provide
    the device nodes."""
    described = _described_devices(folders) if same_host else None
    if discovered is None:
        return described
    nodes = {device.name: device.nodes for device in described or ()}
    names = [
        clean(str(device.get("ID") or ""), 160)
        for device in map(mapping, sequence(discovered))
        if device.get("Source") == "cdi"
    ]
    return tuple(CdiDevice(name, nodes.get(name)) for name in names if name.startswith(f"{CDI_KIND}="))


def _described_devices(folders: Sequence[str]) -> tuple[CdiDevice, ...] | None:
    from gputui.engine.cdi_specs import read_devices  # noqa: PLC0415 - importing pydantic would delay the first frame

    return read_devices(folders)


def _variable_counts(path: Path) -> bool | None:
    """Whether NVIDIA_VISIBLE_DEVICES is honoured; on by default (commented out in the toolkit's config.toml)."""
    import tomllib  # noqa: PLC0415 - it would delay the first frame

    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return bool(config.get("accept-nvidia-visible-devices-envvar-when-unprivileged", True))
