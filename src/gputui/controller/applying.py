"""Applies: putting a plan on record, starting its process, finishing what was cut off."""

import os
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from gputui.apply.serving_probe import answers
from gputui.apply.unit import Unit, units_of
from gputui.controller.compose_marks import compose_marks
from gputui.controller.settings import Settings
from gputui.controller.store import Store
from gputui.controller.watch.sampler import Sampler
from gputui.domain.container import LABEL_REVISION, ContainerSpec, lasting_name, links_to
from gputui.domain.errors import Conflict, GputuiError, NotFound, Refusal, Stopped
from gputui.domain.event import HOW_TO_FINISH, ApplyRecord, Finish, cut_off_text
from gputui.domain.finding import Finding
from gputui.domain.operation import HttpProbe
from gputui.domain.plan import Plan, Step
from gputui.domain.service import Service, ServiceKey
from gputui.engine.protocol import Engine
from gputui.planning.changes.run_command import run_command
from gputui.planning.changes.spec_diff import kept, spec_diff
from gputui.planning.changes.spec_edit import with_file_budget, with_namespaces, with_volumes_of
from gputui.planning.changes.step_operations import Ground, Terms, make_transaction, new_spec
from gputui.planning.findings.recreatable import CANNOT_START_AGAIN, cannot_start_again, layer_finding, layer_line
from gputui.planning.needs.serving_address import loading_s, serving_probe

AT_ONCE = 8
"""Containers that are looked at at the same time."""


class Applying:
    """Begins and finishes applies. `store` opens the state, and raises where there is none."""

    def __init__(self, engine: Engine, sampler: Sampler, settings: Settings, store: Callable[[], Store]) -> None:
        self._engine = engine
        self._sampler = sampler
        self._settings = settings
        self._store = store

    def begin(
        self,
        plan: Plan,
        services: Mapping[ServiceKey, Service],
        reason: str,
        *,
        force: bool,
        keep_layers: frozenset[ServiceKey],
    ) -> int:
        """Put the plan on record and start its process; its number."""
        self._settings.check_writable()
        self._sampler.check_files()
        store = self._store()
        plan = replace(plan, findings=(*plan.findings, *self._new_faults(plan)))
        for finding in plan.obstacles:
            if finding.severity == "refusal":
                raise Refusal(finding.text, finding.fix)
            if not force:
                raise Stopped(finding.text, finding.fix)
        left = self.unsettled()
        if left is not None and not self._is_settled_by(plan, left):
            raise Conflict(cut_off_text(left), HOW_TO_FINISH)
        terms = Terms(
            operator=self._settings.operator,
            reason=reason,
            token=secrets.token_hex(8),
            settle_s=self._settings.settle_s,
            health_limit_s=self._settings.health_limit_s,
            engine_reports=self._sampler.access.capabilities.reports_requests,
        )
        transaction = make_transaction(
            plan, self._grounds(plan, services, keep_layers, terms.token), self._sampler.project, terms
        )
        if left is not None:
            store.applies.accept(left.id, self._settings.operator)
        number = store.applies.begin(transaction)
        self._settings.launch(number, store, "carry out")
        return number

    def _new_faults(self, plan: Plan) -> tuple[Finding, ...]:
        known = {one.service for one in plan.findings if one.code == CANNOT_START_AGAIN}
        return tuple(one for one in self.start_faults(plan) if one.service not in known)

    def find_out_driver(self) -> None:
        """Whether the engine carries out requests for NVIDIA's driver, where that is not known. It takes a container
        that cannot start, so it is not done by looking alone."""
        can = self._sampler.access.capabilities
        if can.nvidia_driver is not None or self._settings.readonly or self._sampler.engine.info is None:
            return
        found = self._engine.has_nvidia_driver()
        if found is not None:
            self._sampler.learn(nvidia_driver=found)

    def preview(self, plan: Plan, services: Mapping[ServiceKey, Service]) -> Plan:
        """The plan with all that would change in each container that is made anew, and what it would lose."""

        # First, for to look at a container makes the engine mount its volumes, and make folders that are gone.
        faults = self._new_faults(plan)
        faulty = {one.service for one in (*plan.findings, *faults) if one.code == CANNOT_START_AGAIN}

        def previewed(step: Step) -> Step:
            try:
                return step if step.name in faulty else self._previewed(step, services.get(step.service), plan.revision)
            except GputuiError:  # the apply says so; what can be shown is shown
                return step

        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            steps = list(pool.map(previewed, plan.steps))
        losses = (layer_finding(step, step.layer) for step in steps if step.layer is not None)
        findings = (*plan.findings, *(one for one in losses if one is not None), *faults)
        return replace(plan, steps=tuple(steps), findings=findings)

    def _previewed(self, step: Step, service: Service | None, revision: int) -> Step:
        if step.action == "create" and step.view is not None:
            made = new_spec(
                step, self.spec_from_file(step.service), revision=revision, operator=self._settings.operator, token=""
            )
            return replace(step, command=run_command(made, self._program()))
        if step.action != "recreate" or step.view is None or step.container_id is None:
            return step
        ground = self._ground(step, service)
        after = new_spec(step, ground.spec, revision=revision, operator=self._settings.operator, token="")
        layer = self._engine.layer(step.container_id)
        lost = layer_line(layer)
        changes = spec_diff(ground.old, after) if ground.old else ()
        diff = (*step.diff, *changes, kept(after), *((lost,) if lost else ()))
        return replace(step, diff=diff, layer=layer, command=run_command(after, self._program()))

    def _program(self) -> str:
        info = self._sampler.engine.info
        return info.name if info else "docker"

    def spec_of(self, service: Service) -> ContainerSpec:
        """The spec that makes this service's container again, or that its Compose file describes."""
        return self._engine.spec(service.container.id) if service.container else self.spec_from_file(service.key)

    def command_of(self, service: Service) -> str:
        """The `docker run` that makes its container."""
        return run_command(self.spec_of(service), self._program())

    def cancel(self, apply_id: int) -> None:
        """Have an apply taken back while it runs.

        Raises:
            Refusal: it does not run any more.
        """
        self._settings.check_writable()
        applies = self._store().applies
        record = applies.record(apply_id)
        if not record.under_way:
            raise Refusal(f"apply {apply_id} does not run any more", "see `gputui history`")
        applies.cancel(apply_id, self._settings.operator)

    def _grounds(
        self, plan: Plan, services: Mapping[ServiceKey, Service], keep_layers: frozenset[ServiceKey], token: str
    ) -> dict[ServiceKey, Ground]:
        remade = {
            step.container_id: services[step.service].container
            for step in plan.doing
            if step.action == "recreate" and step.container_id and step.service in services
        }
        names: dict[str, str] = {}
        for identity, container in remade.items():
            if container is not None:
                names |= dict.fromkeys((identity, container.name), lasting_name(container.name))
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            marked = pool.submit(compose_marks, self._sampler.project)
            grounds = dict(
                pool.map(lambda step: (step.service, self._ground(step, services.get(step.service))), plan.doing)
            )
            marks = marked.result()
        for step in plan.doing:
            ground = grounds[step.service]
            if step.action in ("create", "recreate"):
                ground = replace(ground, labels=marks.labels(step, ground.spec, self._engine))
            if step.shares:
                old = with_namespaces(ground.old, names) if ground.old else None
                ground = replace(ground, spec=with_namespaces(ground.spec, names), old=old)
            if step.service in keep_layers and step.action == "recreate":
                ground = replace(ground, layer_image=f"gputui/{_image_name(step.name)}:{token}")
            grounds[step.service] = ground
        return grounds

    def _ground(self, step: Step, service: Service | None) -> Ground:
        # Nothing of a simulated server answers on a port.
        probe = None
        if service is not None and not self._settings.simulated:
            probe = serving_probe(service, guess=step.container_id is not None)
        loading = loading_s(service) if service else 0.0
        if step.container_id is None:
            return Ground(spec=self.spec_from_file(step.service), probe=probe, loading_s=loading)
        container = self._engine.inspect(step.container_id)
        spec = old = self._engine.spec(step.container_id)
        made_elsewhere = LABEL_REVISION not in container.labels
        if made_elsewhere and service is not None and not service.tells_file_budget and service.budget_env:
            spec = with_file_budget(spec, self.spec_from_file(step.service), service.budget_env)
        if step.from_file:
            spec = replace(self.spec_from_file(step.service), name=old.name)
            spec = with_volumes_of(spec, old, self._engine.image_volumes(str(spec.body.get("Image"))))
        if probe is not None:
            # What does not answer from here now will not do so afterwards either, and is judged by running alone.
            local = self._engine.socket is not None
            proven = container.running and answers(container, probe, is_local=local)
            probe = HttpProbe(port=probe.port, path=probe.path, proven=True) if proven else None
        links = links_to(container, self._sampler.containers)
        return Ground(
            spec=spec, old=old, running=container.lives, paused=container.state == "paused",
            steady=container.running, probe=probe, loading_s=loading, links=links,
        )  # fmt: skip

    def start_faults(self, plan: Plan) -> tuple[Finding, ...]:
        """Why containers that the plan stops could not be started again, should it be rolled back: with these it is not
        begun."""
        steps = [step for step in plan.doing if step.action in ("recreate", "restart") and step.container_id]

        def faults(step: Step) -> tuple[str, ...]:
            assert step.container_id is not None
            with suppress(NotFound):  # it went away meanwhile, and is made again from its spec
                if self._engine.inspect(step.container_id).lives:
                    return self._engine.start_obstacles(step.container_id)
            return ()

        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            found = list(pool.map(faults, steps))
        return tuple(cannot_start_again(step, missing) for step, missing in zip(steps, found, strict=True) if missing)

    def spec_from_file(self, key: ServiceKey) -> ContainerSpec:
        """The spec of a service as its Compose file has it.

        Raises:
            Refusal: it is in none.
        """
        project = self._sampler.project
        declared = project.service(key.name) if project else None
        if project is None or declared is None:
            raise Refusal(f"{key.name} is in no Compose file, so it cannot be created", "name its file with --file")
        return ContainerSpec(name=declared.container_name, body=declared.body, networks=declared.networks)

    def unsettled(self) -> ApplyRecord | None:
        """The newest apply that was cut off, or that left something that was neither committed nor taken back."""
        for record in self._store().applies.open():
            ended = record.result != "running"
            if record.cut_off or (ended and any(unit.unsettled for unit in self._units(record.id))):
                return record
        return None

    def accept(self) -> ApplyRecord | None:
        """A person looked after what an apply left: it is settled as it is; None where there was none."""
        self._settings.check_writable()
        record = self.unsettled()
        if record is not None:
            self._store().applies.accept(record.id, self._settings.operator)
        return record

    def _is_settled_by(self, plan: Plan, record: ApplyRecord) -> bool:
        """Whether all that an apply left are containers that it could not start or restart, and that the plan replaces:
        they are as they were, and only do not run."""
        if record.cut_off:
            return False
        replaced = {step.service for step in plan.doing if step.action == "recreate"}
        left = [one.task.step for unit in self._units(record.id) if unit.unsettled for one in unit.tasks]
        return all(step.action in ("start", "restart") and step.service in replaced for step in left)

    def _units(self, number: int) -> list[Unit]:
        applies = self._store().applies
        return units_of(applies.transaction(number), applies.journal(number))

    def finish(self, how: Finish) -> int | None:
        """Go on with an apply that was cut off, or take back what it left, in a process of its own; its number.

        Raises:
            Refusal: it cannot be gone on with, for something of it was taken back already.
        """
        self._settings.check_writable()
        record = self.unsettled()
        if record is None:
            return None
        store = self._store()
        if how == "go on" and any(unit.taken_back for unit in self._units(record.id)):
            what = f"apply {record.id} was being taken back when it was cut off"
            raise Refusal(what, "let it be taken back: `gputui rollback`")
        store.applies.reopen(record.id, os.getpid())
        self._settings.launch(record.id, store, how)
        return record.id


def _image_name(name: str) -> str:
    """A name that an image may have: the service's, in lower case, with what is not allowed left out."""
    return "".join(sign if sign.isalnum() and sign.isascii() else "-" for sign in name.lower()).strip("-") or "service"
