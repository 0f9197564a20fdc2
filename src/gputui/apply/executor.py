"""Carries a transaction out, operation by operation, and takes back what fails. It decides nothing else."""

from collections.abc import Callable

from gputui.apply.operations import Hands, Parts, perform, take_back
from gputui.containers.engine import Engine
from gputui.domain.errors import GputuiError
from gputui.domain.event import Result
from gputui.domain.plan import Operation, Task
from gputui.domain.text import clean_log_line
from gputui.gpus.source import GpuSource
from gputui.project.applies import Applies, JournalEntry, JournalState

LOG_LINES_ON_FAILURE = 20


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
        """Carry out every task; the first that fails is taken back, and those after it are left alone."""
        outcomes: dict[str, str] = {}
        message = ""
        result: Result = "done"
        self._applies.add_event(self._apply_id, "apply", "started", f"revision {self._transaction.revision}")
        for number, task in enumerate(self._transaction.tasks):
            name = task.step.name
            if result != "done" or asked_to_stop():
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

    def take_back(self) -> Result:
        """Finish an apply that was cut off: what was not committed is taken back."""
        journal = self._applies.journal(self._apply_id)
        outcomes: dict[str, str] = {}
        result: Result = "rolled_back"
        message = "it was cut off"
        for number, task in reversed(list(enumerate(self._transaction.tasks))):
            entries = [entry for entry in journal if entry.task == number]
            name = task.step.name
            if not entries:
                outcomes[name] = "not begun"
            elif self._is_committed(task, entries):
                outcomes[name] = "done"
                self._finish(number, task, entries)
            else:
                last = entries[-1]
                parts = Parts(old=last.old_id, new=last.new_id)
                left = self._undo(number, task, parts)
                outcomes[name] = "failed" if left else "rolled_back"
                if left:
                    result, message = "failed", "by hand: " + "; ".join(left)
        self._end(result, outcomes, message)
        return result

    def _end(self, result: Result, outcomes: dict[str, str], message: str) -> None:
        self._applies.end(self._apply_id, result, outcomes, message)
        self._applies.add_event(self._apply_id, "result", "done", message or result)

    def _event(self, kind: str, progress: str, text: str, task: Task) -> None:
        self._applies.add_event(self._apply_id, kind, progress, text, task.step.name)  # type: ignore[arg-type]

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
        """Why the task failed, or None."""
        hands = self._hands(task)
        for place, operation in enumerate(task.operations):
            self._note(number, place, "started", parts)
            self._event("operation", "started", operation.text, task)
            try:
                said = perform(operation, parts, hands)
            except GputuiError as error:
                return f"{operation.text}: {error.what}"
            self._note(number, place, "done", parts)
            self._event("operation", "done", f"{operation.text}: {said}" if said else operation.text, task)
        return None

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
        begun = {
            entry.operation
            for entry in self._applies.journal(self._apply_id)
            if entry.task == number and entry.state != "undone"
        }
        hands = self._hands(task)
        left: list[str] = []
        for place in sorted(begun, reverse=True):
            operation = task.operations[place]
            undo = operation.undo
            if undo is not None:
                text = self._undo_one(undo, operation, task, parts, hands)
                if text is not None:
                    left.append(text)
                    continue
            self._note(number, place, "undone", parts)
        return left

    def _undo_one(self, undo: Operation, operation: Operation, task: Task, parts: Parts, hands: Hands) -> str | None:
        """What a person has to do where it failed, or None."""
        try:
            said = take_back(undo, operation, task, parts, hands)
        except GputuiError as error:
            self._event("undo", "failed", f"{undo.text}: {error.what}", task)
            return f"{undo.text} ({error.what})"
        self._event("undo", "done", f"{undo.text}: {said}" if said else undo.text, task)
        return None

    def _is_committed(self, task: Task, entries: list[JournalEntry]) -> bool:
        """The new container was seen to be well: all that was left is clearing up."""
        done = {entry.operation for entry in entries if entry.state == "done"}
        return all(
            place in done
            for place, operation in enumerate(task.operations)
            if operation.kind not in ("keep_log", "remove")
        )

    def _finish(self, number: int, task: Task, entries: list[JournalEntry]) -> None:
        parts = Parts(old=entries[-1].old_id, new=entries[-1].new_id)
        done = {entry.operation for entry in entries if entry.state == "done"}
        for place, operation in enumerate(task.operations):
            if place not in done:
                self._undo_one(operation, operation, task, parts, self._hands(task))
                self._note(number, place, "done", parts)
