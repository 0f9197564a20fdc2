"""What is to be done: one step per service."""

from dataclasses import dataclass
from typing import Literal

from gputui.domain.container import Layer
from gputui.domain.finding import DIFFERS, Finding
from gputui.domain.injection import MechanismName
from gputui.domain.service import Edit, ServiceKey

StepAction = Literal["create", "recreate", "start", "unpause", "stop", "restart", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerView:
    """What a container is told of its GPUs; made by `planning.container_view` alone.

    `gpus` are UUIDs in the operator's order, `cuda_visible_devices` the same as indices inside the container.
    `device_ids` are the names that a device request asks for; there are none where the `mechanism` is another.
    `as_written`: nobody assigned it anything, so that it gets what its file, its image and the runtime say.
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
    """What happens to one service, why, and what changes (`diff`, lines to read).

    `holds` are the GPUs that its container has now, `depends_on` the services that have to run before it, and `shares`
    those whose network, IPC, pids or volumes its container uses. From these follow `unit` (steps of one unit are
    carried out and taken back together, because they change places) and `after`, the steps that come before this one.
    `from_file`: it is made as its Compose file has it, and not as its container is. `layer` is what its container
    wrote outside its volumes, and would lose. `down_s` is an estimate of the seconds until it serves again. `command`
    is the `docker run` that would make its new container, to be read; secrets are masked.
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
        """Whether what its container wrote outside its volumes can be kept as an image. One that is made of its file
        gets the image that the file says."""
        return self.action == "recreate" and not self.from_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The difference between the assignments of `revision` and what runs; steps of action `none` are shown too."""

    revision: int
    steps: tuple[Step, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def obstacles(self) -> tuple[Finding, ...]:
        """The errors and refusals about what it does; those about other services do not stop it."""
        doing = {step.name for step in self.doing}
        blocking = (finding for finding in self.findings if finding.severity in ("error", "refusal"))
        return tuple(finding for finding in blocking if finding.service is None or finding.service in doing)

    @property
    def causes(self) -> str:
        """Why each step is as it is, as one line."""
        return "; ".join(f"{step.name}: {step.cause}" for step in self.steps)

    @property
    def untaken(self) -> tuple[Finding, ...]:
        """What Compose files say by now and the plan leaves as it runs."""
        return tuple(finding for finding in self.findings if finding.code == DIFFERS)

    @property
    def doing(self) -> tuple[Step, ...]:
        """The steps that do something."""
        return tuple(step for step in self.steps if step.action != "none")
