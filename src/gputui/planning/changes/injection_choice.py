"""GPU injection methods: a small registry, and the choice among those the engine supports."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gputui.domain.container import Container
from gputui.domain.errors import Refusal
from gputui.domain.injection import MECHANISM_TITLES, Capabilities, Choice, HostAccess, MechanismName
from gputui.domain.service import Service


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a GPU injection method cannot be used, and what to do about it."""

    problem: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mechanism:
    """A GPU injection method. `obstacle` also takes whether the container is privileged; `is_sure` says that the engine
    is known to support it (`reason`), not just that nothing is known against it."""

    name: MechanismName
    obstacle: Callable[[Capabilities, bool], Obstacle | None]
    is_sure: Callable[[Capabilities], bool]
    reason: str


_VARIABLE_IGNORED = Obstacle(
    "the NVIDIA Container Toolkit of this host ignores NVIDIA_VISIBLE_DEVICES in containers without privileges "
    "(accept-nvidia-visible-devices-envvar-when-unprivileged = false), and with it the engine's own requests",
    "turn on CDI: `nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`",
)


def _no_request(capabilities: Capabilities, privileged: bool) -> Obstacle | None:
    if capabilities.too_old is not None:
        return _too_old(capabilities.too_old)
    if capabilities.nvidia_driver is False:
        return Obstacle(
            "this engine has no device driver for NVIDIA GPUs",
            "install the NVIDIA Container Toolkit, then restart the engine",
        )
    # The daemon passes the request on as that variable.
    return _VARIABLE_IGNORED if capabilities.variable_counts is False and not privileged else None


def _no_cdi(capabilities: Capabilities, _privileged: bool) -> Obstacle | None:
    if capabilities.too_old is not None:
        return _too_old(capabilities.too_old)
    if not capabilities.cdi:
        fix = 'set {"features": {"cdi": true}} in daemon.json (Docker 25 or newer), then restart the engine'
        return Obstacle("this engine does not use CDI", fix)
    if capabilities.cdi_devices is None:
        return Obstacle(
            "which CDI devices this engine knows cannot be seen from here", "run gputui on the engine's host"
        )
    if not capabilities.cdi_devices:
        fix = "make a specification: `nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`"
        return Obstacle("this engine knows no CDI device of NVIDIA", fix)
    return None


def _no_runtime(capabilities: Capabilities, privileged: bool) -> Obstacle | None:
    if capabilities.too_old is not None:
        return _too_old(capabilities.too_old)
    if "nvidia" not in capabilities.runtimes:
        fix = "register it: `nvidia-ctk runtime configure --runtime=docker`, then restart the engine"
        return Obstacle("this engine has no runtime called nvidia", fix)
    return _VARIABLE_IGNORED if capabilities.variable_counts is False and not privileged else None


def _too_old(needed: str) -> Obstacle:
    return Obstacle(
        f"this engine starts containers without the GPUs that they ask for; it takes {needed}",
        f"upgrade it to {needed} or newer",
    )


REGISTRY = (
    Mechanism(
        name="nvidia",
        obstacle=_no_request,
        is_sure=lambda capabilities: capabilities.nvidia_driver is True,
        reason="the engine has NVIDIA's device driver",
    ),
    Mechanism(
        name="cdi",
        obstacle=_no_cdi,
        is_sure=lambda capabilities: bool(capabilities.cdi_devices),
        reason="the engine knows CDI devices of NVIDIA",
    ),
    Mechanism(
        name="runtime",
        obstacle=_no_runtime,
        is_sure=lambda capabilities: "nvidia" in capabilities.runtimes,
        reason="the runtime nvidia is registered with the engine",
    ),
)
"""In order of preference. Those of another vendor would go here too."""


def mechanism(name: MechanismName) -> Mechanism:
    """The GPU injection method of that name."""
    return next(candidate for candidate in REGISTRY if candidate.name == name)


def present_mechanism(container: Container | None) -> MechanismName | None:
    """The method by which a container got its GPUs; None if it has none."""
    if container is None:
        return None
    request = container.gpu_request
    if request is not None:
        by_name = any(name.startswith("nvidia.com/") for name in request.device_ids)
        return "cdi" if request.driver == "cdi" or by_name else "nvidia"
    visible = container.gpu_environment.get("NVIDIA_VISIBLE_DEVICES", "void")
    if container.runtime == "nvidia" and visible not in ("", "void", "none"):
        return "runtime"
    return None


def choose(access: HostAccess, service: Service) -> Choice:
    """The method for a new container: the one that its file or the operator requires, else that of its present
    container, else the first that the engine is known to support, else the first with nothing against it.

    Raises:
        Refusal: the required one cannot be used, or none can.
    """
    privileged = service.privileged
    if service.mechanism is not None:
        return _required_choice(
            access.capabilities, service.mechanism, "its x-gputui.mechanism asks for it", privileged
        )
    return _choose(access, present_mechanism(service.container), privileged)


def default_choice(access: HostAccess) -> Choice:
    """The method for a container of which nothing else is known.

    Raises:
        Refusal: as `choose`.
    """
    return _choose(access, None, privileged=False)


def _required_choice(capabilities: Capabilities, name: MechanismName, reason: str, privileged: bool) -> Choice:
    obstacle = mechanism(name).obstacle(capabilities, privileged)
    if obstacle is not None:
        raise Refusal(f"by {MECHANISM_TITLES[name]}: {obstacle.problem}", obstacle.fix)
    return Choice(name, reason)


def _choose(access: HostAccess, present: MechanismName | None, privileged: bool) -> Choice:
    capabilities = access.capabilities
    if access.asked is not None:
        return _required_choice(capabilities, access.asked, "--mechanism asks for it", privileged)
    obstacles = [(candidate, candidate.obstacle(capabilities, privileged)) for candidate in REGISTRY]
    possible = [candidate for candidate, obstacle in obstacles if obstacle is None]
    if present is not None and any(candidate.name == present for candidate in possible):
        return Choice(present, "its container has it")
    sure = [candidate for candidate in possible if candidate.is_sure(capabilities)]
    if sure:
        return Choice(sure[0].name, sure[0].reason)
    if possible:
        return Choice(possible[0].name, "nothing is known against it")
    against = [obstacle for _, obstacle in obstacles if obstacle is not None]
    raise Refusal("; ".join(dict.fromkeys(obstacle.problem for obstacle in against)), against[0].fix)


def with_evidence(capabilities: Capabilities, containers: Sequence[Container]) -> Capabilities:
    """The capabilities, with what running containers prove: an engine without NVIDIA's device driver could not have
    started a container that requests it."""
    if capabilities.nvidia_driver is not None:
        return capabilities
    proven = any(container.running and present_mechanism(container) == "nvidia" for container in containers)
    return replace(capabilities, nvidia_driver=True) if proven else capabilities
