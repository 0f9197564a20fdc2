"""Plans and their applies: recording a plan, starting its process, finishing interrupted applies."""

import os
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from statistics import median
from typing import Literal

from gputui.apply.step_operations import ApplyOptions, make_transaction, new_spec
from gputui.apply.transaction import on_record, put_on_record
from gputui.apply.unit import Unit, units_of
from gputui.controller.gpu_fallback import Replacement, replacements
from gputui.controller.local_draft import LocalDraft
from gputui.controller.local_watch import LocalWatch
from gputui.controller.plan_inputs import AT_ONCE, PlanInputs
from gputui.controller.saved_state import SavedState
from gputui.controller.settings import Settings
from gputui.controller.watch.sampler import Sampler
from gputui.domain.errors import Conflict, EngineError, GputuiError, NotFound, Refusal, Stopped
from gputui.domain.event import HOW_TO_FINISH, ApplyRecord, Finish, cut_off_text
from gputui.domain.finding import Finding
from gputui.domain.message import Message, message
from gputui.domain.plan import Plan, Step
from gputui.domain.service import Fallback, Service, ServiceKey
from gputui.domain.snapshot import Snapshot
from gputui.engine.protocol import Engine
from gputui.planning.changes.run_command import run_command
from gputui.planning.changes.spec_diff import spec_diff, unchanged_summary
from gputui.planning.changes.steps import lifecycle_plan, make_plan
from gputui.planning.findings.recreatable import CANNOT_START_AGAIN, cannot_start_again, layer_finding, layer_line
from gputui.planning.needs.serving_address import start_s


class LocalApplies:
    """Implements `Applies`."""

    def __init__(
        self,
        engine: Engine,
        sampler: Sampler,
        watch: LocalWatch,
        draft: LocalDraft,
        saved: SavedState,
        settings: Settings,
    ) -> None:
        self._engine = engine
        self._sampler = sampler
        self._watch = watch
        self._draft = draft
        self._saved = saved
        self._settings = settings
        self._inputs = PlanInputs(engine, sampler, settings)

    # --- plans ----------------------------------------------------------------------------------------------------

    def plan(self, only: Sequence[str] = (), *, refresh: bool = False, seen: Snapshot | None = None) -> Plan:
        """What an apply of the draft would do."""
        snapshot = seen or self._watch.snapshot()
        if snapshot.engine.info is None:
            return Plan(revision=snapshot.draft.revision)  # what runs is not known
        return make_plan(
            snapshot.services,
            snapshot.inventory.gpus,
            snapshot.findings,
            revision=snapshot.draft.revision,
            only=only,
            refresh=refresh,
            containers=self._sampler.engine_watch.containers,
            access=self._sampler.access,
        )

    def lifecycle_plan(self, names: Sequence[str], action: Literal["restart", "start", "stop"]) -> Plan:
        """What restarting, starting or stopping these services would do."""
        snapshot = self._watch.snapshot()
        return lifecycle_plan(
            snapshot.services,
            snapshot.inventory.gpus,
            names,
            action,
            snapshot.findings,
            revision=snapshot.draft.saved.revision,
            containers=self._sampler.engine_watch.containers,
        )

    def learn_engine(self, plan: Plan) -> None:
        """Find out what a plan depends on but the engine does not report by itself."""
        if self._settings.readonly:
            return
        new_steps = [step for step in plan.doing if step.action in ("create", "recreate")]
        if any(step.view is not None and step.view.mechanism == "nvidia" for step in new_steps):
            with suppress(EngineError):  # then it stays unknown until the start
                self._sampler.engine_watch.find_out_driver()

    def preview(self, plan: Plan) -> Plan:
        """The plan with everything that would change in each re-created container, and what it would lose."""
        services = self._services()

        # First, because inspecting a container's layer makes the engine mount its volumes and create missing folders.
        faults = self._new_faults(plan)
        faulty = {finding.service for finding in (*plan.findings, *faults) if finding.code == CANNOT_START_AGAIN}

        def previewed(step: Step) -> Step:
            try:
                return step if step.name in faulty else self._previewed(step, services.get(step.service), plan.revision)
            except GputuiError:  # the apply will report it; show what can be shown
                return step

        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            steps = list(pool.map(previewed, plan.steps))
        losses = (layer_finding(step, step.layer) for step in steps if step.layer is not None)
        findings = (*plan.findings, *(finding for finding in losses if finding is not None), *faults)
        return replace(plan, steps=tuple(steps), findings=findings)

    def _previewed(self, step: Step, service: Service | None, revision: int) -> Step:
        if step.action == "create" and step.view is not None:
            spec = new_spec(
                step,
                self._inputs.spec_from_file(step.service),
                revision=revision,
                operator=self._settings.operator,
                token="",
            )
            return replace(step, command=run_command(spec, self._sampler.engine_watch.program))
        if step.action != "recreate" or step.view is None or step.container_id is None:
            return step
        plan_input = self._inputs.of_step(step, service)
        spec_after = new_spec(step, plan_input.spec, revision=revision, operator=self._settings.operator, token="")
        layer = self._engine.layer(step.container_id)
        lost = layer_line(layer)
        changes = spec_diff(plan_input.old, spec_after) if plan_input.old else ()
        diff = (*step.diff, *changes, unchanged_summary(spec_after), *((lost,) if lost else ()))
        return replace(
            step, diff=diff, layer=layer, command=run_command(spec_after, self._sampler.engine_watch.program)
        )

    def _new_faults(self, plan: Plan) -> tuple[Finding, ...]:
        faulty = {finding.service for finding in plan.findings if finding.code == CANNOT_START_AGAIN}
        return tuple(fault for fault in self._start_faults(plan) if fault.service not in faulty)

    def _start_faults(self, plan: Plan) -> tuple[Finding, ...]:
        """Why containers that the plan stops could not be started again in a rollback: such a plan is not begun."""
        steps = [step for step in plan.doing if step.action in ("recreate", "restart") and step.container_id]

        def faults(step: Step) -> tuple[str, ...]:
            assert step.container_id is not None
            with suppress(NotFound):  # it was removed meanwhile, and is re-created from its spec
                if self._engine.inspect(step.container_id).lives:
                    return self._engine.start_obstacles(step.container_id)
            return ()

        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            obstacles = list(pool.map(faults, steps))
        return tuple(
            cannot_start_again(step, missing) for step, missing in zip(steps, obstacles, strict=True) if missing
        )

    def _services(self) -> Mapping[ServiceKey, Service]:
        return {service.key: service for service in self._watch.snapshot().services}

    # --- applies --------------------------------------------------------------------------------------------------

    def begin(
        self,
        plan: Plan,
        reason: Message,
        *,
        force: bool = False,
        keep_layers: frozenset[ServiceKey] = frozenset(),
    ) -> int:
        """Record the plan and start its process; its number."""
        services = self._services()
        self._settings.check_writable()
        self._sampler.compose_watch.check_read()
        store = self._saved.opened()
        plan = replace(plan, findings=(*plan.findings, *self._new_faults(plan)))
        for finding in plan.obstacles:
            if finding.severity == "refusal":
                raise Refusal(finding.text, finding.fix)
            if not force:
                raise Stopped(finding.text, finding.fix)
        unsettled = self.unsettled()
        if unsettled is not None and not self._is_settled_by(plan, unsettled):
            raise Conflict(cut_off_text(unsettled), HOW_TO_FINISH)
        options = ApplyOptions(
            operator=self._settings.operator,
            reason=reason,
            token=secrets.token_hex(8),
            settle_s=self._settings.settle_s,
            health_limit_s=self._settings.health_limit_s,
            engine_reports=self._sampler.access.capabilities.reports_requests,
        )
        transaction = make_transaction(
            plan,
            self._inputs.of_plan(plan, services, keep_layers, options.token),
            self._sampler.compose_watch.project,
            options,
        )
        if unsettled is not None:
            store.applies.accept(unsettled.id, self._settings.operator)
        number = put_on_record(store.applies, transaction)
        self._settings.launch(number, store, "carry out")
        self._saved.look()
        return number

    def cancel(self, apply_id: int) -> None:
        """Have a running apply rolled back.

        Raises:
            Refusal: it does not run any more.
        """
        self._settings.check_writable()
        applies = self._saved.opened().applies
        record = applies.record(apply_id)
        if not record.under_way:
            raise Refusal(f"apply {apply_id} does not run any more", "see `gputui history`")
        applies.cancel(apply_id, self._settings.operator)

    def unsettled(self) -> ApplyRecord | None:
        """The newest apply that was interrupted, or left something that was neither committed nor rolled back."""
        for record in self._saved.opened().applies.open():
            ended = record.result != "running"
            if record.cut_off or (ended and any(unit.unsettled for unit in self._units(record.id))):
                return record
        return None

    def accept(self) -> ApplyRecord | None:
        """Mark the unsettled apply as settled, because somebody handled what it left; None if there is none."""
        self._settings.check_writable()
        record = self.unsettled()
        if record is not None:
            self._saved.opened().applies.accept(record.id, self._settings.operator)
        self._saved.look()
        return record

    def finish(self, ending: Finish) -> int | None:
        """Resume an interrupted apply, or roll back what it left, in a process of its own; its number.

        Raises:
            Refusal: it cannot be resumed, because something of it was already rolled back.
        """
        self._settings.check_writable()
        record = self.unsettled()
        if record is None:
            return None
        store = self._saved.opened()
        if ending == "resume" and any(unit.rolled_back for unit in self._units(record.id)):
            problem = f"apply {record.id} was being rolled back when it was interrupted"
            raise Refusal(problem, "let it be rolled back: `gputui rollback`")
        store.applies.reopen(record.id, os.getpid())
        self._settings.launch(record.id, store, ending)
        self._sampler.engine_watch.look_now()
        self._saved.look()
        return record.id

    def _is_settled_by(self, plan: Plan, record: ApplyRecord) -> bool:
        """Whether the plan replaces everything that an apply left, which may only be containers that it could not start
        or restart: they are unchanged, and just do not run."""
        if record.cut_off:
            return False
        replaced = {step.service for step in plan.doing if step.action == "recreate"}
        unsettled = [running.task.step for unit in self._units(record.id) if unit.unsettled for running in unit.tasks]
        return all(step.action in ("start", "restart") and step.service in replaced for step in unsettled)

    def _units(self, number: int) -> list[Unit]:
        applies = self._saved.opened().applies
        return units_of(on_record(applies, number), applies.journal(number))

    # --- fallback to another GPU ----------------------------------------------------------------------------------

    def fallbacks(self, policies: frozenset[Fallback]) -> tuple[str, ...]:
        """What a fallback would do, for services with these policies whose GPU was gone at the last apply."""
        return tuple(replacement.text for replacement in self._replacements(policies))

    def fall_back(self, policies: frozenset[Fallback]) -> int | None:
        """Assign the next best GPUs to these services, as a new revision, and apply it."""
        chosen = self._replacements(policies)
        if not chosen:
            return None
        for replacement in chosen:
            self._draft.take_replacement(replacement.assignment)
        changes = "; ".join(replacement.text for replacement in chosen)
        names = ", ".join(replacement.service.key.full_name for replacement in chosen)
        self._draft.save(message("fallback", changes=changes, services=names))
        plan = self.plan([replacement.service.key.full_name for replacement in chosen])
        names = ", ".join(replacement.service.name for replacement in chosen)
        return self.begin(plan, message("fallback", changes=names))

    def _replacements(self, policies: frozenset[Fallback]) -> tuple[Replacement, ...]:
        self._saved.look()
        services = self._watch.snapshot().services
        return replacements(self._saved.apply, services, self._sampler.gpu_watch.readings(), policies)

    def usual_start_s(self, key: ServiceKey) -> float | None:
        """Seconds that this service usually takes until it serves."""
        service = self._watch.service(key)
        with suppress(GputuiError):
            durations = self._saved.opened().applies.start_times((service.name, service.key.full_name))
            if durations:
                return median(durations)
        return start_s(service)
