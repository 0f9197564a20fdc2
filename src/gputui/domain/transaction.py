"""A plan ready to be carried out: its steps, each a list of operations with their undo."""

from dataclasses import dataclass

from gputui.domain.container import ContainerSpec
from gputui.domain.operation import Operation
from gputui.domain.plan import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A step with its operations, ready to be carried out; `old_id` is the container it starts from, `after` are the
    numbers of the tasks that come before it."""

    step: Step
    operations: tuple[Operation, ...]
    after: tuple[int, ...] = ()
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
