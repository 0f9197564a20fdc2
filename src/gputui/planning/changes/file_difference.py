"""Where a service's container is not what its Compose file says by now."""

from collections.abc import Collection

from gputui.domain import compose_labels
from gputui.domain.compose import OVERRIDE_NAME, ComposeService
from gputui.domain.container import GPU_VARIABLES, Container, variable_marks
from gputui.domain.launch import Launch

COMPARED = (
    "image", "command", "environment", "volumes of host directories", "ports", "shm_size", "ipc", "healthcheck",
)  # fmt: skip
"""In which keys."""
SHOWN = 3
"""Variables that are named."""


def file_differences(
    declared: ComposeService, container: Container, image_names: Collection[str] | None = None
) -> tuple[str, ...]:
    """What differs, in the file's words, of variables with their names; `image_names` are those that the image sets,
    where they are known. Only what the file says is held against the container: what it leaves open is
    the image's or the engine's to fill in. GPUs, budget and changed arguments are gputui's own."""
    runs = container.unedited or container.launch
    says = declared.launch
    found = []
    if declared.image and declared.image != container.image:
        found.append("image")
    if says.words and runs.words[-len(says.words) :] != says.words:
        found.append("command")
    names = _other_variables(declared, container, image_names)
    if names:
        shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        found.append(f"environment ({shown})")
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


def _other_variables(declared: ComposeService, container: Container, image_names: Collection[str] | None) -> list[str]:
    """The variables that have another value than in the file, and those that are in neither file nor image."""
    ours = {*GPU_VARIABLES, "NVIDIA_DRIVER_CAPABILITIES", declared.budget_env}
    written = variable_marks([line for line in declared.body.get("Env") or () if "=" in str(line)])
    other = [name for name, mark in written.items() if name not in ours and container.variables.get(name) != mark]
    if image_names is not None and declared.image == container.image:
        known = {*written, *image_names, *ours}
        other += [name for name in container.variables if name not in known]
    return other


def tells_file_budget(
    declared: ComposeService, container: Container, image_names: Collection[str] | None = None
) -> bool:
    """Whether the variable for its budget has the value of the file, or is in neither. Only `docker compose up` with
    gputui's override makes it another one; else it is the image's, or what somebody wanted."""
    if OVERRIDE_NAME not in container.labels.get(compose_labels.CONFIG_FILES, ""):
        return True
    written = variable_marks([line for line in declared.body.get("Env") or () if "=" in str(line)])
    wanted = written.get(declared.budget_env)
    if wanted is None and (image_names is None or declared.budget_env in image_names):
        return True
    return container.variables.get(declared.budget_env) == wanted


def _mounts(launch: Launch) -> set[tuple[str, str]]:
    """Directories of the host; where a named volume lies is the engine's affair."""
    return {(mount.source, mount.target) for mount in launch.mounts if not mount.is_volume}
