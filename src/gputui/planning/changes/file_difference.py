"""Where a service's container differs from its Compose file."""

from collections.abc import Collection

from gputui.domain import compose_labels
from gputui.domain.compose import OVERRIDE_NAME, ComposeService
from gputui.domain.container import GPU_VARIABLES, Container, variable_marks
from gputui.domain.launch import Launch

COMPARED = (
    "image", "command", "environment", "volumes of host directories", "ports", "shm_size", "ipc", "healthcheck",
)  # fmt: skip
"""The keys compared."""
SHOWN = 3
"""The number of variables named."""


def file_differences(
    declared: ComposeService, container: Container, image_names: Collection[str] | None = None
) -> tuple[str, ...]:
    """The keys that differ, and the names of variables that do; `image_names` are the variables that the image sets, if
    known. Only what the file sets is compared: the image or the engine fills in the rest. GPUs, budget and changed
    arguments are gputui's own."""
    actual = container.unedited or container.launch
    expected = declared.launch
    differences = []
    if declared.image and declared.image != container.image:
        differences.append("image")
    if expected.words and actual.words[-len(expected.words) :] != expected.words:
        differences.append("command")
    names = _other_variables(declared, container, image_names)
    if names:
        listing = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        differences.append(f"environment ({listing})")
    if not _mounts(expected) <= _mounts(actual):
        differences.append("volumes")
    if not set(expected.ports) <= set(actual.ports):
        differences.append("ports")
    host = declared.body.get("HostConfig") or {}
    if host.get("ShmSize") is not None and expected.shm_mib != actual.shm_mib:
        differences.append("shm_size")
    if host.get("IpcMode") and expected.shares_ipc != actual.shares_ipc:
        differences.append("ipc")
    health = (expected.start_period_s, expected.health_allows_s)
    if "Healthcheck" in declared.body and health != (actual.start_period_s, actual.health_allows_s):
        differences.append("healthcheck")
    return tuple(differences)


def _other_variables(declared: ComposeService, container: Container, image_names: Collection[str] | None) -> list[str]:
    """The variables whose value differs from the file, and those in neither file nor image."""
    own_variables = {*GPU_VARIABLES, "NVIDIA_DRIVER_CAPABILITIES", declared.budget_env}
    file_marks = variable_marks([line for line in declared.body.get("Env") or () if "=" in str(line)])
    differing = [
        name for name, mark in file_marks.items() if name not in own_variables and container.variables.get(name) != mark
    ]
    if image_names is not None and declared.image == container.image:
        expected = {*file_marks, *image_names, *own_variables}
        differing += [name for name in container.variables if name not in expected]
    return differing


def tells_file_budget(
    declared: ComposeService, container: Container, image_names: Collection[str] | None = None
) -> bool:
    """Whether the budget variable has the file's value, or is in neither. Only `docker compose up` with gputui's
    override changes it; otherwise it comes from the image, or is what somebody set."""
    if OVERRIDE_NAME not in container.labels.get(compose_labels.CONFIG_FILES, ""):
        return True
    file_marks = variable_marks([line for line in declared.body.get("Env") or () if "=" in str(line)])
    file_mark = file_marks.get(declared.budget_env)
    if file_mark is None and (image_names is None or declared.budget_env in image_names):
        return True
    return container.variables.get(declared.budget_env) == file_mark


def _mounts(launch: Launch) -> set[tuple[str, str]]:
    """Host directories; where a named volume is stored is up to the engine."""
    return {(mount.source, mount.target) for mount in launch.mounts if not mount.is_volume}
