"""Carries out a transaction, unit by unit, and rolls back what fails. It decides nothing else."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial

from gputui.apply.engine_retry import EngineRetry
from gputui.apply.health_gate import Abandoned, Cancelled, missing_gpus, within
from gputui.apply.operations.action import IS_GONE, OperationContext
from gputui.apply.operations.await_release import AwaitRelease
from gputui.apply.operations.stop import in_place, start_in_place
from gputui.apply.post_apply_monitor import PostApplyMonitor
from gputui.apply.transaction import PHASES, Operation, Phase, on_record
from gputui.apply.unit import RunningTask, Turn, Unit, ready, units_of
from gputui.domain.container import lasting_name
from gputui.domain.errors import GputuiError, NotFound
from gputui.domain.event import EventKind, Outcome, Progress, Result
from gputui.domain.message import Message, message
from gputui.domain.text import clean, clean_log_line
from gputui.engine.protocol import Engine
from gputui.gpus.source import GpuSource
from gputui.state.applies import Applies, JournalEntry, JournalState, NewEvent

LOG_LINES_ON_FAILURE = 20
AT_ONCE = 8
"""Units carried out concurrently."""
STARTING_AT_ONCE = min(AT_ONCE, (os.cpu_count() or 1) + 1)
"""How many of them may not have started their new containers yet. Many more than there are processors would only slow
each other down and lengthen each service's downtime; one extra uses the time that the others spend waiting for the
engine."""
RELEASE_AGAIN_S = 10.0
INVENTORY_LIMIT_S = 10.0


class Executor:
    """One recorded apply, being carried out or rolled back."""

    def __init__(self, engine: Engine, source: GpuSource, applies: Applies, apply_id: int) -> None:
        self._applies = applies
        self._apply_id = apply_id
        self._engine = engine
        self._source = source
        # A hanging driver must not prevent a service from being restored.
        inventory = within(INVENTORY_LIMIT_S, source.inventory)
        self._gpus = inventory.gpus if inventory else ()
        self._retry = EngineRetry()
        self._monitor = PostApplyMonitor(engine)
        self._leftovers: list[str] = []
        self._turns = threading.Semaphore(STARTING_AT_ONCE)
        self._transaction = on_record(applies, apply_id)
        self._units = units_of(self._transaction, applies.journal(apply_id))

    # --- the apply ------------------------------------------------------------------------------------------------

    def run(self, asked_to_stop: Callable[[], bool] = lambda: False) -> Result:
        """Carry out every unit. A unit that fails is rolled back, and no further unit is begun.

        An interrupted apply is resumed where it stopped.
        """

        def halted() -> str:
            return self._cancelled() or ("it was asked to stop" if asked_to_stop() else "")

        self._monitor.begin()
        self._report("apply", "started", message("apply-started", revision=self._transaction.revision))
        waiting = [unit for unit in self._units if not unit.committed]
        outcomes: dict[str, Outcome] = {
            running.task.step.name: "done" for unit in self._units for running in unit.tasks
        }
        failures: list[str] = []
        for unit in self._units:
            if unit.committed:
                self._finish(unit, outcomes, failures)
        with ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="unit") as pool:
            futures: dict[Future[str | None], Unit] = {}
            while waiting or futures:
                if not failures and (why := halted()):
                    failures.append(why)
                for unit in [] if failures else ready(waiting, futures.values()):
                    waiting.remove(unit)
                    futures[pool.submit(self._run_in_turn, unit, halted)] = unit
                if not futures:
                    break
                for future in wait(futures, timeout=1.0, return_when=FIRST_COMPLETED).done:
                    unit = futures.pop(future)
                    failure = future.result()
                    if failure is not None:
                        failures.append(failure)
                        outcomes |= unit.outcomes()
        outcomes |= {running.task.step.name: "not begun" for unit in waiting for running in unit.tasks}
        return self._end(outcomes, "; ".join(dict.fromkeys(failures)))

    def _cancelled(self) -> str:
        """Who cancelled it, in words; empty if nobody did."""
        try:
            operator = self._applies.cancelled_by(self._apply_id)
        except GputuiError:
            return ""  # a state that is unreadable for a moment cancels nothing
        return f"it was cancelled by {operator}" if operator else ""

    def roll_back(self) -> Result:
        """Finish an interrupted apply: roll back what was not committed."""
        self._monitor.begin()
        outcomes: dict[str, Outcome] = {}
        leftovers: list[str] = []
        for unit in reversed(self._units):
            if unit.committed:
                outcomes |= {running.task.step.name: "done" for running in unit.tasks}
                self._finish(unit, outcomes, leftovers)
            elif unit.begun:
                leftovers += self._undo(unit)
                outcomes |= unit.outcomes()
            else:
                outcomes |= {running.task.step.name: "not begun" for running in unit.tasks}
        text = "by hand: " + "; ".join(leftovers) if leftovers else "it was interrupted"
        return self._end(outcomes, text)

    def _end(self, outcomes: dict[str, Outcome], reason: str) -> Result:
        kinds = set(outcomes.values())
        result: Result = "done" if kinds <= {"done"} else "rolled_back"
        if kinds & {"failed", "rolled_back"}:
            result = "failed" if "failed" in kinds else "rolled_back"
        text = "; ".join([*(["left over: " + "; ".join(self._leftovers)] if self._leftovers else []), reason])
        text = text.removesuffix("; ") if result != "done" or self._leftovers else ""
        if result == "done" and self._cancelled():
            text = f"{self._cancelled()}, but too late: all of it was done"
        missing = {
            running.task.step.name: running.missing for unit in self._units for running in unit.tasks if running.missing
        }
        failures = {
            running.task.step.name: f"{running.failure}{f': {running.last_line}' if running.last_line else ''}"
            for unit in self._units
            for running in unit.tasks
            if running.failure and not running.was_cancelled
        }
        self._applies.end(self._apply_id, result, outcomes, text, missing, failures)
        return result

    # --- one unit -------------------------------------------------------------------------------------------------

    def _run_in_turn(self, unit: Unit, halted: Callable[[], str]) -> str | None:
        """Carry out a unit once it has its turn. Returns why it failed or was not begun, or None."""
        with Turn(self._turns) as unit.turn:
            why = "" if unit.begun else halted()
            return why or self._carry_out(unit)

    def _carry_out(self, unit: Unit) -> str | None:
        """Why the unit failed, or None. A failed cleanup at the end is only reported."""
        unit.give_back_turn()  # if it was interrupted after its start, or starts nothing
        for running in unit.tasks:
            step = running.task.step
            words = message("step-started", action=step.action, service=step.name, cause=step.cause)
            self._event("step", "started", words, running)
        for phase in PHASES[:-1]:
            self._in_parallel(unit, phase)
            failed = [running for running in unit.tasks if running.failure is not None]
            if failed:
                break
        else:
            if self._clear_up(unit) is None:
                for running in unit.tasks:
                    words = message("step-done", action=running.task.step.action, service=running.task.step.name)
                    self._event("step", "done", words, running)
                return None
            failed = [running for running in unit.tasks if running.failure is not None]
        return self._roll_back_failed(unit, failed)

    def _finish(self, unit: Unit, outcomes: dict[str, Outcome], messages: list[str]) -> None:
        """Clean up after a unit that was committed before the interruption."""
        if self._clear_up(unit) is not None:
            messages.append(
                self._roll_back_failed(unit, [running for running in unit.tasks if running.failure is not None])
            )
            outcomes |= unit.outcomes()

    def _roll_back_failed(self, unit: Unit, failed: Sequence[RunningTask]) -> str:
        for running in failed:
            self._event("step", "failed", Message.of_text(running.failure or ""), running)
            self._show_log(running)
        leftovers = self._undo(unit)
        causes = "; ".join(f"{running.task.step.name}: {running.failure}" for running in failed)
        return f"{causes}; by hand: {'; '.join(leftovers)}" if leftovers else causes

    def _in_parallel(self, unit: Unit, phase: Phase) -> None:
        """Run the phase of every task of the unit; after the first failure the others begin no further operation."""
        if len(unit.tasks) == 1:
            self._run_phase(unit, unit.tasks[0], phase)
            return
        threads = [threading.Thread(target=self._run_phase, args=(unit, running, phase)) for running in unit.tasks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _run_phase(self, unit: Unit, running: RunningTask, phase: Phase) -> None:
        try:
            if phase == "launch":
                for prerequisite in unit.tasks:
                    if prerequisite.number in running.task.after:
                        prerequisite.launched.wait()
            context = self._context(running, unit)
            for place, operation in enumerate(running.task.operations):
                if operation.phase != phase or place in running.done:
                    continue
                if unit.failed.is_set():
                    return
                self._do(place, operation, running, context)
                unit.give_back_turn()
        except Abandoned:
            return
        except Exception as error:  # whatever the error is, the old container must come back
            operation = running.task.operations[max(running.begun, default=0)]
            running.failure = f"{operation.text}: {_error_text(error)}"
            running.was_cancelled = isinstance(error, Cancelled)
            if operation.do.starts and running.task.step.view is not None:
                running.missing = missing_gpus(
                    _error_text(error), running.task.step.view.gpus, self._gpus, self._source
                )
            unit.failed.set()
        finally:
            if phase == "launch":
                running.launched.set()

    def _do(self, place: int, operation: Operation, running: RunningTask, context: OperationContext) -> None:
        running.begun.add(place)
        self._note(running, place, "started", _operation_event("started", operation, running))
        note = self._retry.call(lambda: operation.do.perform(running.pair, context), context.report)
        self._note(running, place, "done", _operation_event("done", operation, running, note))
        running.done.add(place)

    def _clear_up(self, unit: Unit) -> str | None:
        """Keep the old containers' logs and remove them. Returns why not, if a new container is no longer healthy."""
        for turn in _clear_turns(unit):
            lost = next((text for text in map(partial(self._find_loss, unit), unit.tasks) if text), None)
            if lost is not None:
                return lost
            for running, place in turn:
                if place not in running.done:
                    self._clear(unit, running, place)
        return None

    def _find_loss(self, unit: Unit, running: RunningTask) -> str | None:
        """Why a new container is no longer healthy, or None. One that somebody removed is re-created and has to pass
        the same checks as the first."""
        if running.pair.new is None or self._monitor.is_well(running.pair.new):
            return None
        context = self._context(running, unit)
        try:
            self._revive(running, unit)
            for operation in running.task.operations:
                if operation.do.verifies:
                    self._retry.call(partial(operation.do.perform, running.pair, context), context.report)
        except Exception as error:  # whatever the error is, the old container still exists and must come back
            running.failure = f"it was well, and then was not: {_error_text(error)}"
            return running.failure
        return None

    def _clear(self, unit: Unit, running: RunningTask, place: int) -> None:
        context, operation = self._context(running, unit), running.task.operations[place]
        # Done even if it cannot be recorded (a full disk).
        with suppress(GputuiError):
            self._note(running, place, "started")
        note = None
        try:
            self._retry.insist(partial(operation.do.perform, running.pair, context), context.report)
        except NotFound:
            note = IS_GONE
        except Exception as error:  # the service runs; leftovers are reported
            words = message("operation-failed", operation=operation.text, error=_error_text(error))
            self._event("operation", "failed", words, running, operation.do.kind)
            if operation.do.leaves:
                self._leftovers.append(f"{operation.text} ({_error_text(error)})")
            return
        running.done.add(place)
        with suppress(GputuiError):
            self._note(running, place, "done", _operation_event("done", operation, running, note))

    def _revive(self, running: RunningTask, unit: Unit) -> str:
        """Re-create and start the new container, which somebody removed, under its own name; its id.

        Raises:
            GputuiError: it cannot be re-created, and no other container of the same service is in its place.
        """
        self._event("operation", "waiting", message("revived-new"), running)
        spec = next(spec for operation in running.task.operations if (spec := operation.do.makes))
        spec, report = spec.named(lasting_name(spec.name)), self._context(running, unit).report
        recreate = partial(in_place, self._engine, spec, running.pair.new, running.pair.old)
        running.pair.new = self._retry.insist(recreate, report)
        self._retry.insist(partial(start_in_place, self._engine, running.pair.new, spec.name), report)
        return running.pair.new

    def _revive_old(self, running: RunningTask, unit: Unit) -> str:
        """The same for the old container, which had been restored."""
        self._event("undo", "waiting", message("revived-old"), running)
        assert running.task.old_spec is not None
        spec = running.task.old_spec.named(lasting_name(running.task.old_spec.name))
        report = self._context(running, unit).report
        running.pair.old = self._retry.insist(partial(in_place, self._engine, spec, running.pair.old), report)
        self._retry.insist(partial(start_in_place, self._engine, running.pair.old, spec.name), report)
        return running.pair.old

    def guard(self) -> None:
        """Watch new and restored containers of Compose services for a while: a concurrent `docker compose up` may be
        about to remove them. Whoever removes any other container means it."""
        watched: dict[str, Callable[[], str]] = {}
        for unit in self._units:
            for running in unit.tasks:
                ref = running.pair.new if unit.committed else running.pair.old if running.is_restored else None
                if ref is not None and running.task.step.service.project:
                    watched[ref] = partial(self._bring_back, running, unit)
        if watched:
            self._monitor.guard(watched)
        self._monitor.close()

    def _bring_back(self, running: RunningTask, unit: Unit) -> str:
        """Start again what the apply left running and somebody removed; its id.

        Raises:
            GputuiError: it cannot be re-created, or does not start.
        """
        try:
            return self._revive(running, unit) if unit.committed else self._revive_old(running, unit)
        except GputuiError as error:
            self._event("operation", "failed", message("not-revived", error=_error_text(error)), running)
            raise

    # --- rollback -------------------------------------------------------------------------------------------------

    def _undo(self, unit: Unit) -> list[str]:
        """Roll back what was begun, newest first. Returns what is left for a person to do.

        First everything new is stopped, then everything old gets its place back.
        """
        leftovers: list[str] = []
        for phase in reversed(PHASES[:-1]):
            if phase == "release":
                self._await_release_of_new(unit)
            # Dependencies stop last, and are restored first.
            for running in unit.tasks if phase == "release" else reversed(unit.tasks):
                leftovers += self._undo_phase(unit, running, phase)
        return leftovers

    def _await_release_of_new(self, unit: Unit) -> None:
        for running in unit.tasks:
            if running.pair.new is not None:
                with suppress(GputuiError):
                    AwaitRelease(part="new", limit_s=RELEASE_AGAIN_S).perform(
                        running.pair, self._context(running, unit)
                    )

    def _undo_phase(self, unit: Unit, running: RunningTask, phase: Phase) -> list[str]:
        context = self._context(running, unit)
        leftovers = []
        for place in sorted(running.begun - running.undone, reverse=True):
            operation = running.task.operations[place]
            if operation.phase != phase:
                continue
            if operation.undo is not None:
                text = self._undo_operation(operation, running, context)
                if text is not None:
                    leftovers.append(text)
                    continue
            running.undone.add(place)
            running.done.discard(place)
            with suppress(GputuiError):
                self._note(running, place, "undone")
        return leftovers

    def _undo_operation(self, operation: Operation, running: RunningTask, context: OperationContext) -> str | None:
        """What a person has to do if it failed, or None."""
        undo = operation.undo
        assert undo is not None
        try:
            note = self._retry.insist(
                lambda: undo.undo(operation.do, running.pair, running.task.old_spec, context), context.report
            )
        except Exception as error:  # the rest has to be rolled back all the same
            words = message("operation-failed", operation=operation.undo_text, error=_error_text(error))
            self._event("undo", "failed", words, running, undo.kind)
            return f"{operation.undo_text} ({_error_text(error)})"
        self._event("undo", "done", _operation_words(operation.undo_text, note), running, undo.kind)
        return None

    def _show_log(self, running: RunningTask) -> None:
        """Report the last log lines of a container that did not come up, before it is removed."""
        ref = running.pair.new or (running.pair.old if running.task.step.action in ("start", "restart") else None)
        if ref is None:
            return
        try:
            lines = self._engine.last_log(ref, LOG_LINES_ON_FAILURE)
        except GputuiError:
            return
        log_lines = [clean_log_line(line) for line in lines]
        running.last_line = next((line for line in reversed(log_lines) if line.strip()), "")[:300]
        for line in log_lines:
            self._event("log", "done", Message.of_text(line), running)

    # --- reporting ------------------------------------------------------------------------------------------------

    def _report(
        self, kind: EventKind, progress: Progress, words: Message, service: str | None = None, operation: str = ""
    ) -> None:
        """Record an event; a failure to do so (a full disk) must not keep an apply from being finished or undone."""
        with suppress(GputuiError):
            self._applies.add_event(self._apply_id, NewEvent(kind, progress, words, service, operation))

    def _event(
        self, kind: EventKind, progress: Progress, words: Message, running: RunningTask, operation: str = ""
    ) -> None:
        self._report(kind, progress, words, running.task.step.name, operation)

    def _note(self, running: RunningTask, operation: int, state: JournalState, event: NewEvent | None = None) -> None:
        entry = JournalEntry(
            task=running.number, operation=operation, state=state, old_id=running.pair.old, new_id=running.pair.new
        )
        self._applies.note(self._apply_id, entry, event)

    def _context(self, running: RunningTask, unit: Unit) -> OperationContext:
        return OperationContext(
            engine=self._engine,
            source=self._source,
            gpus=self._gpus,
            retry=self._retry,
            report=lambda words: self._event("operation", "waiting", words, running),
            keep_log=lambda ref, lines: self._applies.keep_log(self._apply_id, running.task.step, ref, lines),
            abandoned=unit.failed.is_set,
            cancelled=self._cancelled,
        )


def _clear_turns(unit: Unit) -> list[list[tuple[RunningTask, int]]]:
    """The operations of the last phase in turns, aligned at their ends: no old container is removed before everything
    else is done."""
    clear_places = {
        running.number: [place for place, operation in enumerate(running.task.operations) if operation.phase == "clear"]
        for running in unit.tasks
    }
    most = max((len(places) for places in clear_places.values()), default=0)
    turns = []
    for turn in range(most):
        ended = most - turn
        turns.append(
            [
                (running, clear_places[running.number][-ended])
                for running in unit.tasks
                if len(clear_places[running.number]) >= ended
            ]
        )
    return turns


def _operation_words(text: str, note: str | None) -> Message:
    return message("operation-noted", operation=text, note=note) if note else message("operation", operation=text)


def _operation_event(
    progress: Progress, operation: Operation, running: RunningTask, note: str | None = None
) -> NewEvent:
    words = _operation_words(operation.text, note)
    return NewEvent("operation", progress, words, running.task.step.name, operation.do.kind)


def _error_text(error: Exception) -> str:
    return error.what if isinstance(error, GputuiError) else clean(repr(error), 300)
