"""A plan: one step per service."""

from dataclasses import dataclass
from typing import Literal

from gputui.domain.container import Layer
from gputui.domain.finding import DIFFERS, Finding
from gputui.domain.injection import MechanismName
from gputui.domain.service import Edit, ServiceKey

StepAction = Literal["create", "recreate", "start", "unpause", "stop", "restart", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerView:
    """The GPU settings of a container; only created by `planning.container_view`.

    `gpus` are UUIDs in the operator's order, `cuda_visible_devices` the same as indices inside the container.
    `device_ids` are the names in the device request; empty if the `mechanism` does not use one.
    `as_written`: it has no assignment, so its file, its image and the runtime decide.
    """

    gpus: tuple[str, ...]
    device_ids: tuple[str, ...]
    mechanism: MechanismName | None
    nvidia_visible_devices: str
    cuda_visible_devices: str | None
    expected_nodes: frozenset[str] | None
    sees_all_devices: bool = False
    as_written: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happens to one service, why, and what changes (`diff`, as readable lines).

    `holds` are the GPUs that its container has now, `depends_on` the services that must run before it, and `shares`
    those whose network, IPC, pids or volumes its container uses. These determine `unit` (steps of a unit are applied
    and rolled back together, because they swap GPUs) and `after`, the steps that come before this one. `from_file`: the
    container is created from its Compose file, not from the existing container. `layer` is what its container wrote
    outside its volumes, and would lose. `down_s` is the estimated number of seconds until it serves again. `command` is
    the equivalent `docker run` of its new container, for display; secrets are masked.
    """

    action: StepAction
    service: ServiceKey
    name: str
    cause: str
    container_id: str | None = None
    view: ContainerView | None = None
    budget_mib: int | None = None
    budget_env: str | None = "VRAM_BUDGET_GB"
    edits: tuple[Edit, ...] = ()
    diff: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    depends_on: tuple[ServiceKey, ...] = ()
    shares: tuple[ServiceKey, ...] = ()
    from_file: bool = False
    layer: Layer | None = None
    command: str = ""
    down_s: float | None = None
    unit: int = 0
    after: tuple[ServiceKey, ...] = ()

    @property
    def keeps_layer(self) -> bool:
        """Whether the data that its container wrote outside its volumes can be saved as an image. A container created
        from its file uses the image in that file."""
        return self.action == "recreate" and not self.from_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The difference between the assignments of `revision` and what is running; includes steps with action `none`."""

    revision: int
    steps: tuple[Step, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def obstacles(self) -> tuple[Finding, ...]:
        """The errors and refusals about its steps; those about other services do not block it."""
        doing = {step.name for step in self.doing}
        blocking = (finding for finding in self.findings if finding.severity in ("error", "refusal"))
        return tuple(finding for finding in blocking if finding.service is None or finding.service in doing)

    @property
    def causes(self) -> str:
        """The causes of all steps in one line."""
        return "; ".join(f"{step.name}: {step.cause}" for step in self.steps)

    @property
    def untaken(self) -> tuple[Finding, ...]:
        """The changes in Compose files that the plan does not apply."""
        return tuple(finding for finding in self.findings if finding.code == DIFFERS)

    @property
    def doing(self) -> tuple[Step, ...]:
        """The steps that do something."""
        return tuple(step for step in self.steps if step.action != "none")
