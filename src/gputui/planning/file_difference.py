"""Where a service's container is not what its Compose file says by now."""

from gputui.domain.compose import ComposeService
from gputui.domain.container import GPU_VARIABLES, Container
from gputui.domain.launch import Launch

COMPARED = (
    "image", "command", "environment", "volumes of host directories", "ports", "shm_size", "ipc", "healthcheck",
)  # fmt: skip
"""In which keys."""


def file_differences(declared: ComposeService, container: Container) -> tuple[str, ...]:
    """What differs, in the file's words. Only what the file says is held against the container: what it leaves open is
    the image's or the engine's to fill in. GPUs, budget and changed arguments are gputui's own."""
    runs = container.unedited or container.launch
    says = declared.launch
    found = []
    if declared.image and declared.image != container.image:
        found.append("image")
    if says.words and runs.words[-len(says.words) :] != says.words:
        found.append("command")
    ours = {*GPU_VARIABLES, declared.budget_env}
    if any(runs.environment.get(name) != value for name, value in says.settings if name not in ours):
        found.append("environment")
    if not _mounts(says) <= _mounts(runs):
        found.append("volumes")
    if not set(says.ports) <= set(runs.ports):
        found.append("ports")
    host = declared.body.get("HostConfig") or {}
    if host.get("ShmSize") is not None and says.shm_mib != runs.shm_mib:
        found.append("shm_size")
    if host.get("IpcMode") and says.shares_ipc != runs.shares_ipc:
        found.append("ipc")
    health = (says.start_period_s, says.health_allows_s)
    if "Healthcheck" in declared.body and health != (runs.start_period_s, runs.health_allows_s):
        found.append("healthcheck")
    return tuple(found)


def _mounts(launch: Launch) -> set[tuple[str, str]]:
    """Directories of the host; where a named volume lies is the engine's affair."""
    return {(mount.source, mount.target) for mount in launch.mounts if not mount.is_volume}
