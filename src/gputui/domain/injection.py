"""The GPU capabilities of a container engine, and its GPU injection methods."""

from dataclasses import dataclass, field
from typing import Literal, get_args

MechanismName = Literal["nvidia", "cdi", "runtime"]
"""`nvidia`: a device request for the engine's nvidia driver. `cdi`: a device request with names of the Container Device
Interface. `runtime`: the runtime `nvidia`, which reads NVIDIA_VISIBLE_DEVICES."""

MECHANISMS: tuple[MechanismName, ...] = get_args(MechanismName)

MECHANISM_TITLES: dict[MechanismName, str] = {
    "nvidia": "nvidia requests",
    "cdi": "CDI",
    "runtime": "the nvidia runtime",
}
"""The display names."""

CDI_KIND = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True)
class CdiDevice:
    """A device that a CDI specification describes: its qualified name, and the device nodes that it adds; None if the
    specification cannot be read from here."""

    name: str
    nodes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """The GPU capabilities of an engine. None is unknown, never no.

    `nvidia_driver`: it supports device requests for the driver `nvidia`. `cdi_devices` is None if CDI is enabled but
    its devices cannot be listed. `too_old` names the required version if this one supports no GPU requests at all.
    `variable_counts`: an unprivileged container gets the GPUs in NVIDIA_VISIBLE_DEVICES
    (`accept-nvidia-visible-devices-envvar-when-unprivileged` of the NVIDIA Container Toolkit). `reports_requests`: its
    inspect data contains the requested devices; Podman's does not.
    """

    nvidia_driver: bool | None = None
    cdi: bool | None = None
    cdi_devices: tuple[CdiDevice, ...] | None = None
    runtimes: tuple[str, ...] = ()
    default_runtime: str = ""
    cgroup_driver: str = ""
    rootless: bool = False
    too_old: str | None = None
    variable_counts: bool | None = None
    reports_requests: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAccess:
    """How GPUs can be injected on this host: the capabilities of its engine, and the GPU injection method that the
    operator requires, if any."""

    capabilities: Capabilities = field(default_factory=Capabilities)
    asked: MechanismName | None = None


NOTHING_KNOWN = HostAccess()


@dataclass(frozen=True, slots=True)
class Choice:
    """The GPU injection method of a container, and the reason for it."""

    mechanism: MechanismName
    reason: str
