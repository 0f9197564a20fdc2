"""Carries a transaction out, operation by operation, and takes back what fails. It decides nothing else."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from gputui.apply.operations import Hands, Parts, perform, take_back
from gputui.apply.witness import patiently
from gputui.containers.engine import Engine
from gputui.domain.errors import GputuiError, NotFound
from gputui.domain.event import EventKind, Progress, Result
from gputui.domain.plan import Operation, Task
from gputui.domain.text import clean, clean_log_line
from gputui.gpus.source import GpuSource
from gputui.project.applies import Applies, JournalEntry, JournalState

LOG_LINES_ON_FAILURE = 20

CLEARING_UP = ("keep_log", "remove")
"""What is left to do once the new container was seen to be well."""


class Executor:
    """One apply on record, being carried out or taken back."""

    def __init__(self, engine: Engine, source: GpuSource, applies: Applies, apply_id: int) -> None:
        self._applies = applies
        self._apply_id = apply_id
        self._transaction = applies.transaction(apply_id)
        self._engine = engine
        self._source = source
        self._gpus = source.inventory().gpus

    def run(self, asked_to_stop: Callable[[], bool] = lambda: False) -> Result:
        """Carry out every task; the first that fails is taken back, and those after it are not begun."""
        outcomes: dict[str, str] = {}
        message = ""
        result: Result = "done"
        self._tell("apply", "started", f"revision {self._transaction.revision}")
        for number, task in enumerate(self._transaction.tasks):
            name = task.step.name
            if result == "done" and asked_to_stop():
                result, message = "failed", "it was asked to stop"
            if result != "done":
                outcomes[name] = "not begun"
                continue
            self._event("step", "started", f"{task.step.action} {name}: {task.step.cause}", task)
            parts = Parts(old=task.old_id)
            failure = self._carry_out(number, task, parts)
            if failure is None:
                outcomes[name] = "done"
                self._event("step", "done", f"{task.step.action} {name}", task)
                continue
            self._event("step", "failed", failure, task)
            self._show_log(task, parts)
            left = self._undo(number, task, parts)
            can_be_undone = any(operation.undo for operation in task.operations)
            result = "failed" if left or not can_be_undone else "rolled_back"
            outcomes[name] = result
            message = f"{name}: {failure}"
            if left:
                message += "; by hand: " + "; ".join(left)
        self._end(result, outcomes, message)
        return result

    def is_unsettled(self) -> bool:
        """Whether something of it is neither committed nor taken back."""
        journal = self._applies.journal(self._apply_id)
        for number, task in enumerate(self._transaction.tasks):
            entries = [entry for entry in journal if entry.task == number and entry.state != "undone"]
            if entries and not self._is_committed(task, entries):
                return True
        return False

    def take_back(self) -> Result:
        """Finish an apply that was cut off: what was not committed is taken back."""
        journal = self._applies.journal(self._apply_id)
        outcomes: dict[str, str] = {}
        left: list[str] = []
        for number, task in reversed(list(enumerate(self._transaction.tasks))):
            entries = [entry for entry in journal if entry.task == number]
            name = task.step.name
            if not entries:
                outcomes[name] = "not begun"
                continue
            parts = Parts(old=entries[-1].old_id, new=entries[-1].new_id)
            if self._is_committed(task, entries):
                outcomes[name] = "done"
                self._clear_up(number, task, parts, {entry.operation for entry in entries if entry.state == "done"})
                continue
            undone = self._undo(number, task, parts)
            outcomes[name] = "failed" if undone else "rolled_back"
            left += undone
        settled: Result = "done" if set(outcomes.values()) == {"done"} else "rolled_back"
        result: Result = "failed" if left else settled
        self._end(result, outcomes, "by hand: " + "; ".join(left) if left else "it was cut off")
        return result

    def _end(self, result: Result, outcomes: dict[str, str], message: str) -> None:
        self._applies.end(self._apply_id, result, outcomes, message)
        self._tell("result", "done", message or result)

    def _tell(self, kind: EventKind, progress: Progress, text: str, service: str | None = None) -> None:
        """Report; what cannot be written down (a full disk) must not keep an apply from being finished or undone."""
        with suppress(GputuiError):
            self._applies.add_event(self._apply_id, kind, progress, text, service)

    def _event(self, kind: EventKind, progress: Progress, text: str, task: Task) -> None:
        self._tell(kind, progress, text, task.step.name)

    def _note(self, task: int, operation: int, state: JournalState, parts: Parts) -> None:
        entry = JournalEntry(task=task, operation=operation, state=state, old_id=parts.old, new_id=parts.new)
        self._applies.note(self._apply_id, entry)

    def _hands(self, task: Task) -> Hands:
        return Hands(
            engine=self._engine,
            source=self._source,
            gpus=self._gpus,
            settle_s=self._transaction.settle_s,
            health_limit_s=self._transaction.health_limit_s,
            tell=lambda text: self._event("operation", "waiting", text, task),
            keep=lambda ref, lines: self._applies.keep_log(self._apply_id, task.step.name, ref, lines),
        )

    def _carry_out(self, number: int, task: Task, parts: Parts) -> str | None:
        """Why the task failed, or None. From the commit on, when the new container was seen to be well, nothing can
        fail it any more: what cannot be cleared up is only reported."""
        hands = self._hands(task)
        for place, operation in enumerate(task.operations):
            if operation.kind in CLEARING_UP:
                self._clear_up(number, task, parts, set(range(place)))
                return None
            try:
                self._note(number, place, "started", parts)
                self._event("operation", "started", operation.text, task)
                said = perform(operation, parts, hands)
                self._note(number, place, "done", parts)
            except Exception as error:  # whatever it is, the old container must come back
                return f"{operation.text}: {_why(error)}"
            self._event("operation", "done", f"{operation.text}: {said}" if said else operation.text, task)
        return None

    def _clear_up(self, number: int, task: Task, parts: Parts, done: set[int]) -> None:
        """Keep the old container's log and remove it."""
        for place, operation in enumerate(task.operations):
            if place in done or operation.kind not in CLEARING_UP:
                continue
            said = ""
            try:
                self._note(number, place, "started", parts)
                patiently(partial(perform, operation, parts, self._hands(task)))
                self._note(number, place, "done", parts)
            except NotFound:
                said = ": it is gone already"
            except GputuiError as error:
                self._event("operation", "failed", f"{operation.text}: {error.what}", task)
                continue
            self._event("operation", "done", operation.text + said, task)

    def _show_log(self, task: Task, parts: Parts) -> None:
        """The last lines of what did not come up, before it is taken away."""
        ref = parts.new or (parts.old if task.step.action in ("start", "restart") else None)
        if ref is None:
            return
        try:
            lines = self._engine.last_log(ref, LOG_LINES_ON_FAILURE)
        except GputuiError:
            return
        for line in lines:
            self._event("log", "done", clean_log_line(line), task)

    def _undo(self, number: int, task: Task, parts: Parts) -> list[str]:
        """Take back, newest first, what the journal says was begun; what is left to a person to do."""
        entries = [entry for entry in self._applies.journal(self._apply_id) if entry.task == number]
        begun = {entry.operation for entry in entries if entry.state != "undone"}
        hands = self._hands(task)
        left: list[str] = []
        for place in sorted(begun, reverse=True):
            operation = task.operations[place]
            if operation.undo is not None:
                text = self._undo_one(operation.undo, operation, task, parts, hands)
                if text is not None:
                    left.append(text)
                    continue
            with suppress(GputuiError):
                self._note(number, place, "undone", parts)
        return left

    def _undo_one(self, undo: Operation, operation: Operation, task: Task, parts: Parts, hands: Hands) -> str | None:
        """What a person has to do where it failed, or None."""
        try:
            said = patiently(lambda: take_back(undo, operation, task, parts, hands))
        except Exception as error:  # the rest has to be taken back all the same
            self._event("undo", "failed", f"{undo.text}: {_why(error)}", task)
            return f"{undo.text} ({_why(error)})"
        self._event("undo", "done", f"{undo.text}: {said}" if said else undo.text, task)
        return None

    def _is_committed(self, task: Task, entries: list[JournalEntry]) -> bool:
        """The new container was seen to be well: all that was left is clearing up."""
        done = {entry.operation for entry in entries if entry.state == "done"}
        needed = (place for place, operation in enumerate(task.operations) if operation.kind not in CLEARING_UP)
        return all(place in done for place in needed)


def _why(error: Exception) -> str:
    return error.what if isinstance(error, GputuiError) else clean(repr(error), 300)
