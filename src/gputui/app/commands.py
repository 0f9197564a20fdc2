"""What the keys do: calls to the controller, with their questions and errors. Independent of widgets."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from textual.content import Content

from gputui.app.background import in_thread
from gputui.app.render.plan_summary import describe, downtime
from gputui.controller.protocols import Controller
from gputui.domain.compose import FileEdit
from gputui.domain.errors import Conflict, GputuiError, NeedsAnswer, Refusal
from gputui.domain.event import cut_off_text
from gputui.domain.finding import Finding
from gputui.domain.gpu import GpuProcess, ProcessSignal
from gputui.domain.message import Message, message
from gputui.domain.plan import Plan, Step
from gputui.domain.service import Fallback, Service, ServiceKey, TypedEdit
from gputui.domain.suggestion import Suggestion

Severity = Literal["information", "warning", "error"]


ADOPTED = "It is then recreated by plans, and put back as it was if that fails."


@dataclass(frozen=True, slots=True)
class Dialogs:
    """How commands talk to the user: `ask` a yes-or-no question (with details and the word for yes), `choose` one of
    several answers (key and text; returns the key or None), `tell` the outcome, show an apply that was `launched`, and
    `run` a program that takes the terminal."""

    ask: Callable[[str, str | Content, str], Awaitable[bool]]
    choose: Callable[[str, str | Content, Sequence[tuple[str, str]]], Awaitable[str | None]]
    tell: Callable[[str, Severity], None]
    launched: Callable[[int], None]
    run: Callable[[Sequence[str]], None]


class Commands:
    """The commands of the screen."""

    def __init__(self, controller: Controller, dialogs: Dialogs) -> None:
        self._controller = controller
        self._dialogs = dialogs
        self._launching = False

    def _report(self, error: GputuiError) -> None:
        self._dialogs.tell(error.line, "error")

    async def edit(self, change: Callable[..., None]) -> None:
        """Change the draft. `change` gets `adopt`: whether an unmanaged container may be adopted, which the user is
        asked."""
        try:
            try:
                change(adopt=False)
            except NeedsAnswer as question:
                if await self._dialogs.ask(question.what, ADOPTED, "adopt it"):
                    change(adopt=True)
        except GputuiError as error:
            self._report(error)

    def fault_of(self, services: Sequence[Service], typed: TypedEdit) -> str:
        """The error in a typed edit, or an empty string."""
        try:
            self._controller.draft.check(_keys(services), typed)
        except GputuiError as error:
            return error.line
        return ""

    async def take_suggestion(self, suggestion: Suggestion) -> None:
        """Take over the suggestion of a strategy as one edit."""
        count = sum(assignment.moved or assignment.adjusted for assignment in suggestion.assignments)
        count += sum(not service.stays for service in suggestion.unplaced)
        if not count:
            self._dialogs.tell(f"{suggestion.strategy} changes nothing", "information")
            return

        def change(*, adopt: bool) -> None:
            self._controller.draft.take_suggestion(suggestion, adopt=adopt)
            text = f"{suggestion.strategy}: {count} services changed; p shows the plan, u undoes it"
            self._dialogs.tell(text, "information")

        await self.edit(change)

    async def take_fix(self, service: Service, findings: Sequence[Finding]) -> None:
        """Apply the argument changes of the first finding about this service that has any, as one edit."""
        edits = next((finding.edits for finding in findings if finding.service == service.name and finding.edits), ())
        if not edits:
            self._dialogs.tell(f"no finding about {service.name} proposes another argument", "information")
            return
        changes = [(edit.argument, edit.value) for edit in edits]
        await self.edit(partial(self._controller.draft.set_arguments, [service.key], changes))

    def undo(self) -> None:
        """Undo the last edit."""
        if not self._controller.draft.undo():
            self._dialogs.tell("there is no edit to undo", "information")

    def redo(self) -> None:
        """Redo the edit that was undone last."""
        if not self._controller.draft.redo():
            self._dialogs.tell("there is no edit to redo", "information")

    async def save(self) -> None:
        """Save the draft; on a conflict with a newer revision ask whose assignment to keep."""
        try:
            saved = await in_thread(lambda: self._controller.draft.save(message("edited-on-screen")))
        except Conflict as conflict:
            if await self._settled(conflict):
                await self.save()
            return
        except GputuiError as error:
            self._report(error)
            return
        self._dialogs.tell(f"saved as revision {saved.revision}", "information")

    async def _settled(self, conflict: Conflict) -> bool:
        """Whether the user resolved the conflict."""
        if not self._controller.watch.snapshot().draft.conflicts:
            self._report(conflict)
            return False
        choices = [("m", "mine"), ("t", "theirs")]
        choice = await self._dialogs.choose("Which assignment holds?", conflict.what, choices)
        if choice == "m":
            self._controller.draft.resolve("mine")
        elif choice == "t":
            self._controller.draft.resolve("theirs")
        return choice is not None

    async def apply(self) -> None:
        """Show the plan, ask, save the draft and execute the plan."""
        await self._apply(self._controller.applies.plan, lambda _: "what runs is what is assigned")

    async def refresh(self, services: Sequence[Service]) -> None:
        """The same for these services, as their Compose file now defines them."""
        if set(self._controller.watch.snapshot().draft.changed) - set(_keys(services)):
            # They would be saved too, without being part of what the user confirmed.
            self._dialogs.tell("other services have edits: save them (^s), or undo them (u)", "warning")
            return
        names = [service.key.full_name for service in services]
        await self._apply(lambda: self._controller.applies.plan(names, refresh=True), lambda plan: plan.causes)

    async def _apply(self, make_plan: Callable[[], Plan], idle_reason: Callable[[Plan], str]) -> None:
        if await self.finish_interrupted():
            return
        try:
            await in_thread(lambda: self._controller.applies.learn_engine(make_plan()))
            plan = make_plan()
            if not plan.doing:
                self._dialogs.tell(f"nothing to do: {idle_reason(plan)}", "information")
                return
            plan = await in_thread(lambda: self._controller.applies.preview(plan))
        except GputuiError as error:
            self._report(error)
            return
        refusal = next((obstacle for obstacle in plan.obstacles if obstacle.severity == "refusal"), None)
        if refusal is not None:
            self._report(Refusal(refusal.text, refusal.fix))
            return
        layer_names = {step.name for step in plan.doing if step.keeps_layer}
        losses = frozenset(
            finding.service
            for finding in plan.findings
            if finding.code == "writable-layer" and finding.service in layer_names
        )
        # Errors can be overridden, by another key.
        forced = bool(plan.obstacles)
        choices = [("f", "apply in spite of the errors") if forced else ("y", "apply")]
        choices += [("k", "keep what they wrote as images, and apply")] if losses and not forced else []
        choice = await self._dialogs.choose("Carry this out?", describe(plan), choices)
        if choice is None:
            return
        layers = frozenset(step.service for step in plan.doing if choice == "k" and step.name in losses)
        saved_plan = partial(self._saved_plan, make_plan, plan)
        await self._launch(saved_plan, message("applied-on-screen"), layers, force=forced)

    async def finish_interrupted(self) -> bool:
        """Whether there is an interrupted apply; if so, ask whether to resume or roll it back, and start that."""
        try:
            record = await in_thread(self._controller.applies.unsettled)
        except GputuiError:
            return False
        if record is None:
            return False
        choices = [("r", "resume it"), ("t", "roll back what it left")]
        choice = await self._dialogs.choose(f"What now? {cut_off_text(record)}.", record.message, choices)
        if choice is None:
            return True
        try:
            number = await in_thread(
                lambda: self._controller.applies.finish("resume" if choice == "r" else "roll back")
            )
        except GputuiError as error:
            self._report(error)
            return True
        if number is not None:
            self._dialogs.launched(number)
        return True

    def _saved_plan(self, make_plan: Callable[[], Plan], confirmed: Plan) -> Plan:
        """Save the draft and return its plan, which must still be the confirmed one.

        Raises:
            Conflict: the plan has changed meanwhile.
        """
        self._controller.draft.save(message("edited-on-screen"))
        plan = make_plan()
        if not _is_same(plan, confirmed):
            raise Conflict("what is to be done changed while you looked", "look at the plan again, then apply")
        return plan

    async def fall_back(self) -> None:
        """Assign another GPU to services whose GPU was missing at the last apply."""
        policies: frozenset[Fallback] = frozenset(("ask", "auto"))
        try:
            lines = await in_thread(lambda: self._controller.applies.fallbacks(policies))
            if not lines:
                self._dialogs.tell(
                    "no GPU was gone at the last apply; or x-gputui.fallback forbids another, or none fits",
                    "information",
                )
                return
            if await self._dialogs.ask("Assign and apply this?", "\n".join(lines), "fall back"):
                number = await in_thread(lambda: self._controller.applies.fall_back(policies))
                if number is not None:
                    self._dialogs.launched(number)
        except GputuiError as error:
            self._report(error)

    async def lifecycle(self, services: Sequence[Service], action: Literal["restart", "start", "stop"]) -> None:
        """Restart, start or stop services without changing them."""
        names = [service.key.full_name for service in services]
        short_names = ", ".join(service.name for service in services)
        try:
            plan = self._controller.applies.lifecycle_plan(names, action)
        except GputuiError as error:
            self._report(error)
            return
        if not await self._dialogs.ask(f"{action.capitalize()} {short_names}?", downtime(plan), action):
            return
        if action != "restart":
            # Otherwise the next apply would revert it.
            adopted = [service for service in services if service.adopted and service.enabled != (action == "start")]
            if adopted:
                await self.edit(partial(self._controller.draft.set_enabled, _keys(adopted), action == "start"))
                await self.save()
        await self._launch(
            lambda: self._controller.applies.lifecycle_plan(names, action),
            message("lifecycle", action=action, services=short_names),
        )

    async def roll_back(self, revision: int | None = None) -> None:
        """Finish an interrupted apply; else return to this revision (default: the previous one), showing the plan."""
        if await self.finish_interrupted():
            return
        try:
            target = "the revision before this one" if revision is None else f"revision {revision}"
            if not await self._dialogs.ask(f"Go back to {target}?", "It is saved as a new one.", "roll back"):
                return
            saved = await in_thread(lambda: self._controller.history.roll_back(revision))
            await in_thread(lambda: self._controller.applies.learn_engine(self._controller.applies.plan()))
        except GputuiError as error:
            self._report(error)
            return
        plan = self._controller.applies.plan()
        if plan.doing and await self._dialogs.ask("Carry the rollback out now?", describe(plan), "apply"):
            await self._launch(self._controller.applies.plan, saved.reason)

    async def cancel(self, apply_id: int) -> None:
        """Cancel a running apply, which rolls it back."""
        details = "What is not finished yet is rolled back; services that are finished stay as they are."
        if not await self._dialogs.ask(f"Cancel apply {apply_id}?", details, "cancel it"):
            return
        try:
            await in_thread(lambda: self._controller.applies.cancel(apply_id))
        except GputuiError as error:
            self._report(error)
            return
        self._dialogs.tell("it is being rolled back", "information")

    async def signal(self, process: GpuProcess, service: str) -> None:
        """Ask for a signal and send it to a process."""
        description = f"{process.pid} of {process.user or 'an unknown user'}: {process.command or '?'}"
        warning = f"It belongs to {service}: x on the service stops it as a whole.\n" if service else ""
        choices = [("t", "TERM: end"), ("i", "INT: interrupt"), ("k", "KILL: end at once")]
        choice = await self._dialogs.choose("Send which signal?", warning + description, choices)
        signals: dict[str, ProcessSignal] = {"t": "TERM", "i": "INT", "k": "KILL"}
        if choice is None:
            return
        try:
            await in_thread(lambda: self._controller.watch.signal(process.pid, process.start_time, signals[choice]))
        except GputuiError as error:
            self._report(error)
            return
        self._dialogs.tell(f"{signals[choice]} was sent to {process.pid}", "information")

    async def write_service(self, edit: FileEdit) -> None:
        """Write a new service into the Compose file, as it was previewed."""
        try:
            await in_thread(lambda: self._controller.compose_files.write(edit))
        except GputuiError as error:
            self._report(error)
            return
        self._dialogs.tell(f"written to {edit.path}; a creates and starts it", "information")

    async def shell(self, service: Service) -> None:
        """Open a shell in the container; the screen waits until it ends."""
        try:
            command = await in_thread(lambda: self._controller.watch.shell_command(service.key))
        except GputuiError as error:
            self._report(error)
            return
        self._dialogs.run(command)

    async def _launch(
        self,
        make_plan: Callable[[], Plan],
        reason: Message,
        keep_layers: frozenset[ServiceKey] = frozenset(),
        *,
        force: bool = False,
    ) -> None:
        if self._launching:
            self._dialogs.tell("another command is being started", "warning")
            return
        self._launching = True
        try:
            plan = await in_thread(make_plan)
            number = await in_thread(
                lambda: self._controller.applies.begin(plan, reason, force=force, keep_layers=keep_layers)
            )
        except GputuiError as error:
            self._report(error)
            return
        finally:
            self._launching = False
        self._dialogs.launched(number)


def _keys(services: Sequence[Service]) -> list[ServiceKey]:
    return [service.key for service in services]


def _is_same(plan: Plan, confirmed: Plan) -> bool:
    """Whether both plans do the same; measured values are ignored."""

    def plain(step: Step) -> Step:
        return replace(step, diff=(), layer=None, command="", down_s=None)

    return [plain(step) for step in plan.doing] == [plain(step) for step in confirmed.doing]
