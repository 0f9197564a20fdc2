"""The progress of an apply's units, and how many of them may be between their old and new containers at once."""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from gputui.apply.operations.action import ContainerPair
from gputui.apply.transaction import Operation, Task, Transaction
from gputui.domain.event import Outcome
from gputui.state.applies import JournalEntry


class Turn:
    """One of a limited number of turns; taken by `with`, and returned at its end or earlier."""

    def __init__(self, turns: threading.Semaphore) -> None:
        self._turns = turns
        self._lock = threading.Lock()
        self._is_taken = False

    def __enter__(self) -> "Turn":
        self._turns.acquire()
        self._is_taken = True
        return self

    def give_back(self) -> None:
        """Let another unit have it; a second call does nothing."""
        with self._lock:
            was_taken, self._is_taken = self._is_taken, False
        if was_taken:
            self._turns.release()

    def __exit__(self, *_: object) -> None:
        self.give_back()


@dataclass(slots=True)
class RunningTask:
    """A task as it is carried out. `done` are the indices of the operations that were done, `begun` of those that may
    have been."""

    number: int
    task: Task
    pair: ContainerPair
    done: set[int] = field(default_factory=set)
    begun: set[int] = field(default_factory=set)
    undone: set[int] = field(default_factory=set)
    failure: str | None = None
    last_line: str = ""
    was_cancelled: bool = False
    missing: tuple[str, ...] = ()
    launched: threading.Event = field(default_factory=threading.Event)

    @property
    def is_left(self) -> bool:
        """Something of it could not be rolled back, or there is no way to (a restart)."""
        irreversible = bool(self.task.operations) and not any(operation.undo for operation in self.task.operations)
        return bool(self.begun - self.undone) or irreversible

    @property
    def is_restored(self) -> bool:
        """Its old container, which had been stopped, was started again."""
        undos = (self.task.operations[place].undo for place in self.undone)
        return any(undo is not None and undo.restores for undo in undos)


@dataclass(slots=True)
class Unit:
    """Tasks that are carried out and rolled back together."""

    tasks: list[RunningTask]
    failed: threading.Event = field(default_factory=threading.Event)
    turn: Turn | None = None

    def _is_done(self, counts: Callable[[Operation], bool]) -> bool:
        """Whether every operation that counts was done."""
        return all(
            place in running.done
            for running in self.tasks
            for place, operation in enumerate(running.task.operations)
            if counts(operation)
        )

    @property
    def committed(self) -> bool:
        """Every new container is up: only cleanup is left."""
        return self._is_done(lambda operation: operation.phase != "clear")

    def give_back_turn(self) -> None:
        """Let another unit have its turn, once all its containers were started."""
        if self.turn is not None and self._is_done(lambda operation: operation.do.starts):
            self.turn.give_back()

    @property
    def begun(self) -> bool:
        """Something of it was begun."""
        return any(running.begun for running in self.tasks)

    @property
    def rolled_back(self) -> bool:
        """Something of it was rolled back, so that it cannot be resumed."""
        return any(running.undone for running in self.tasks)

    @property
    def unsettled(self) -> bool:
        """Something of it is neither committed nor rolled back."""
        return not self.committed and any(running.begun - running.undone for running in self.tasks)

    def outcomes(self) -> dict[str, Outcome]:
        """The outcomes of its services after it was rolled back or not begun."""
        if not self.begun:
            return {running.task.step.name: "not begun" for running in self.tasks}
        return {running.task.step.name: "failed" if running.is_left else "rolled_back" for running in self.tasks}


def units_of(transaction: Transaction, journal: Sequence[JournalEntry]) -> list[Unit]:
    """The units of a transaction, in its order, with their progress according to the journal."""
    units: dict[int, Unit] = {}
    for number, task in enumerate(transaction.tasks):
        entries = [entry for entry in journal if entry.task == number]
        last = max(entries, key=lambda entry: entry.order, default=None)
        pair = ContainerPair(task.old_id) if last is None else ContainerPair(last.old_id, last.new_id)
        running = RunningTask(number, task, pair)
        running.begun = {entry.operation for entry in entries}
        running.done = {entry.operation for entry in entries if entry.state == "done"}
        running.undone = {entry.operation for entry in entries if entry.state == "undone"}
        units.setdefault(task.step.unit or -number - 1, Unit([])).tasks.append(running)
    return list(units.values())


def ready(waiting: Sequence[Unit], running: Iterable[Unit]) -> list[Unit]:
    """The units whose dependencies are all done."""
    unfinished = {running.number for unit in (*waiting, *running) for running in unit.tasks}
    return [
        unit
        for unit in waiting
        if not any(
            number in unfinished and number not in {running.number for running in unit.tasks}
            for running in unit.tasks
            for number in running.task.after
        )
    ]
