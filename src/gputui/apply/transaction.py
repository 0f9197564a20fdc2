"""A plan ready to be carried out, and on record: its steps, each a list of operations with their undo."""

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
"""`prepare`: the new container is made, nothing is touched. `release`: the old one lets go of its GPUs and its name.
`launch`: the new one is started and seen to be well. `clear`: the old one is removed; nothing can fail it any more."""

PHASES: tuple[Phase, ...] = ("prepare", "release", "launch", "clear")

for _module in iter_modules(operations.__path__):
    import_module(f"{operations.__name__}.{_module.name}")
KINDS: tuple[type[Action], ...] = tuple(Action.__subclasses__())
"""Every kind of operation, each from its own file."""

if TYPE_CHECKING:
    AnyAction = Action
else:
    AnyAction = Union[KINDS]  # noqa: UP007 - by their `kind` they are told apart when they are read again


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What is done, in words to read, and what undoes it; None where nothing has to be."""

    do: AnyAction
    text: str
    phase: Phase
    undo: AnyAction | None = None
    undo_text: str = ""


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
    reason: Message
    tasks: tuple[Task, ...]
    token: str


def put_on_record(applies: Applies, transaction: Transaction) -> int:
    """Put an apply of this transaction on record; its number.

    Raises:
        Conflict: another one is running.
    """
    return applies.begin(
        revision=transaction.revision,
        operator=transaction.operator,
        reason=transaction.reason,
        services=[task.step.name for task in transaction.tasks],
        body=to_json(transaction),
    )


def on_record(applies: Applies, apply_id: int) -> Transaction:
    """What an apply is to do.

    Raises:
        UsageError: there is no such apply.
    """
    return from_json(Transaction, applies.body(apply_id))


def prepare_reading() -> None:
    """Do now, while nobody waits for it, what the first `on_record` would wait for."""
    prepare(Transaction)
