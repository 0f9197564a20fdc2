"""What will be done: steps, each a list of operations with their undo."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gputui.domain.container import ContainerSpec
from gputui.domain.finding import Finding
from gputui.domain.service import Edit, ServiceKey

Action = Literal["create", "recreate", "start", "stop", "restart", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerView:
    """What a container is told of its GPUs; made by `planning.container_view` alone.

    `gpus` are UUIDs in the operator's order, `cuda_visible_devices` the same as indices inside the container.
    """

    gpus: tuple[str, ...]
    device_ids: tuple[str, ...]
    nvidia_visible_devices: str
    cuda_visible_devices: str | None
    expected_nodes: frozenset[str] | None
    sees_all_devices: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happens to one service, why, and what changes (`diff`, lines to read)."""

    action: Action
    service: ServiceKey
    name: str
    cause: str
    container_id: str | None = None
    view: ContainerView | None = None
    budget_mib: int | None = None
    budget_env: str | None = "VRAM_BUDGET_GB"
    edits: tuple[Edit, ...] = ()
    diff: tuple[str, ...] = ()


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
        grave = (one for one in self.findings if one.severity in ("error", "refusal"))
        return tuple(one for one in grave if one.service is None or one.service in doing)

    @property
    def doing(self) -> tuple[Step, ...]:
        """The steps that do something."""
        return tuple(step for step in self.steps if step.action != "none")


OperationKind = Literal[
    "create",
    "connect",
    "check_request",
    "stop",
    "await_release",
    "set_restart_policy",
    "rename",
    "start",
    "watch",
    "confirm_gpus",
    "keep_log",
    "remove",
    "restart",
    "ensure_network",
    "ensure_volume",
    "put_back",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call to the engine. `target` names a container by its part in the step: `old` or `new`.

    `undo` is what takes it back; None where nothing has to be.
    """

    kind: OperationKind
    text: str
    target: Literal["old", "new"] = "new"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    spec: ContainerSpec | None = None
    undo: "Operation | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A step with its operations, ready to be carried out; `old_id` is the container it starts from."""

    step: Step
    operations: tuple[Operation, ...]
    old_id: str | None = None
    old_spec: ContainerSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """What an apply process is handed: everything is decided here, nothing while it is carried out."""

    revision: int
    operator: str
    reason: str
    tasks: tuple[Task, ...]
    token: str
    settle_s: float
    health_limit_s: float
