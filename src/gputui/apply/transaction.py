"""A recorded plan, ready to be carried out: its steps, each a list of operations with their undo."""

from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Literal, Union

from gputui.apply import operations
from gputui.apply.operations.action import Action
from gputui.domain.container import ContainerSpec
from gputui.domain.message import Message
from gputui.domain.plan import Step
from gputui.state.applies import Applies
from gputui.state.json_values import from_json, prepare, to_json

Phase = Literal["prepare", "release", "launch", "clear"]
"""`prepare`: the new container is created, nothing else is touched. `release`: the old one releases its GPUs and its
name. `launch`: the new one is started and checked. `clear`: the old one is removed; this cannot fail the apply."""

PHASES: tuple[Phase, ...] = ("prepare", "release", "launch", "clear")

for _module in iter_modules(operations.__path__):
    import_module(f"{operations.__name__}.{_module.name}")
KINDS: tuple[type[Action], ...] = tuple(Action.__subclasses__())
"""Every kind of operation, each from its own file."""

if TYPE_CHECKING:
    AnyAction = Action
else:
    AnyAction = Union[KINDS]  # noqa: UP007 - their `kind` tells them apart when they are read again


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An action with its readable text, and what undoes it; None if nothing has to be undone."""

    do: AnyAction
    text: str
    phase: Phase
    undo: AnyAction | None = None
    undo_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A step with its operations, ready to be carried out. `old_id` is the container that it starts from, `after` are
    the numbers of the tasks that have to be done first."""

    step: Step
    operations: tuple[Operation, ...]
    after: tuple[int, ...] = ()
    old_id: str | None = None
    old_spec: ContainerSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """The input of an apply process: everything is decided here, nothing while it is carried out."""

    revision: int
    operator: str
    reason: Message
    tasks: tuple[Task, ...]
    token: str


def put_on_record(applies: Applies, transaction: Transaction) -> int:
    """Record an apply of this transaction; its number.

    Raises:
        Conflict: another apply is running.
    """
    return applies.begin(
        revision=transaction.revision,
        operator=transaction.operator,
        reason=transaction.reason,
        services=[task.step.name for task in transaction.tasks],
        body=to_json(transaction),
    )


def on_record(applies: Applies, apply_id: int) -> Transaction:
    """The recorded transaction of an apply.

    Raises:
        UsageError: there is no such apply.
    """
    return from_json(Transaction, applies.body(apply_id))


def prepare_reading() -> None:
    """Do the slow part of the first `on_record` now, while nobody waits for it."""
    prepare(Transaction)
