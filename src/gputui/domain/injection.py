"""What a container engine can do for GPUs, and the ways in which it gives one to a container."""

from dataclasses import dataclass, field
from typing import Literal, get_args

MechanismName = Literal["nvidia", "cdi", "runtime"]
"""`nvidia`: a device request that the engine's nvidia driver carries out. `cdi`: a device request by the names of the
Container Device Interface. `runtime`: the runtime `nvidia`, which reads NVIDIA_VISIBLE_DEVICES."""

MECHANISMS: tuple[MechanismName, ...] = get_args(MechanismName)

MECHANISM_TITLES: dict[MechanismName, str] = {
    "nvidia": "nvidia requests",
    "cdi": "CDI",
    "runtime": "the nvidia runtime",
}
"""For people."""

CDI_KIND = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True)
class CdiDevice:
    """A device that a CDI specification describes: its qualified name, and the device nodes that it brings; None where
    the specification cannot be read from here."""

    name: str
    nodes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an engine can do for GPUs. None is unknown, never no.

    `nvidia_driver`: it carries out device requests for the driver `nvidia`. `cdi_devices` are None where CDI is on and
    its devices cannot be listed. `too_old` names the version that is needed, where no request for GPUs is carried out
    by this one. `variable_counts`: a container without privileges gets what NVIDIA_VISIBLE_DEVICES names
    (`accept-nvidia-visible-devices-envvar-when-unprivileged` of the NVIDIA Container Toolkit). `reports_requests`: what
    it says of a container tells which devices were asked for; Podman does not.
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
    """How GPUs can reach containers on this host: what its engine can do, and the mechanism that the operator asks for
    whatever else would be chosen."""

    capabilities: Capabilities = field(default_factory=Capabilities)
    asked: MechanismName | None = None


NOTHING_KNOWN = HostAccess()


@dataclass(frozen=True, slots=True)
class Choice:
    """The mechanism that a container gets its GPUs by, and why this one."""

    mechanism: MechanismName
    reason: str
