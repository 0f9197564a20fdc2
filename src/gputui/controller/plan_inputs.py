"""What each step of a plan starts from, read once from the engine and the Compose files before anything is done."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from gputui.apply.serving_probe import answers
from gputui.apply.step_operations import PlanInput
from gputui.controller.compose_marks import compose_marks
from gputui.controller.settings import Settings
from gputui.controller.watch.sampler import Sampler
from gputui.domain.container import LABEL_REVISION, ContainerSpec, lasting_name, links_to
from gputui.domain.errors import Refusal
from gputui.domain.plan import Plan, Step
from gputui.domain.service import Service, ServiceKey
from gputui.domain.serving import HttpProbe
from gputui.engine.protocol import Engine
from gputui.planning.changes.spec_edit import with_file_budget, with_namespaces, with_volumes_of
from gputui.planning.needs.serving_address import loading_s, serving_probe

AT_ONCE = 8
"""Containers inspected concurrently."""


class PlanInputs:
    """Looks up the inputs of steps."""

    def __init__(self, engine: Engine, sampler: Sampler, settings: Settings) -> None:
        self._engine = engine
        self._sampler = sampler
        self._settings = settings

    def of_plan(
        self, plan: Plan, services: Mapping[ServiceKey, Service], keep_layers: frozenset[ServiceKey], token: str
    ) -> dict[ServiceKey, PlanInput]:
        """The complete inputs of all steps: with the labels by which Compose knows its containers, the new names of
        containers whose namespaces they share, and the images that keep layers."""
        recreated = {
            step.container_id: services[step.service].container
            for step in plan.doing
            if step.action == "recreate" and step.container_id and step.service in services
        }
        names: dict[str, str] = {}
        for identity, container in recreated.items():
            if container is not None:
                names |= dict.fromkeys((identity, container.name), lasting_name(container.name))
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            pending = pool.submit(compose_marks, self._sampler.compose_watch.project)
            inputs = dict(
                pool.map(lambda step: (step.service, self.of_step(step, services.get(step.service))), plan.doing)
            )
            marks = pending.result()
        for step in plan.doing:
            plan_input = inputs[step.service]
            if step.action in ("create", "recreate"):
                plan_input = replace(plan_input, labels=marks.labels(step, plan_input.spec, self._engine))
            if step.shares:
                old = with_namespaces(plan_input.old, names) if plan_input.old else None
                plan_input = replace(plan_input, spec=with_namespaces(plan_input.spec, names), old=old)
            if step.service in keep_layers and step.action == "recreate":
                plan_input = replace(plan_input, layer_image=f"gputui/{_image_name(step.name)}:{token}")
            inputs[step.service] = plan_input
        return inputs

    def of_step(self, step: Step, service: Service | None) -> PlanInput:
        """The input of one step, as far as it depends on this step alone."""
        # A simulated server does not answer on any port.
        probe = None
        if service is not None and not self._settings.simulated:
            probe = serving_probe(service, guess=step.container_id is not None)
        loading = loading_s(service) if service else 0.0
        if step.container_id is None:
            return PlanInput(spec=self.spec_from_file(step.service), probe=probe, loading_s=loading)
        container = self._engine.inspect(step.container_id)
        spec = old = self._engine.spec(step.container_id)
        made_elsewhere = LABEL_REVISION not in container.labels
        if made_elsewhere and service is not None and not service.tells_file_budget and service.budget_env:
            spec = with_file_budget(spec, self.spec_from_file(step.service), service.budget_env)
        if step.from_file:
            spec = replace(self.spec_from_file(step.service), name=old.name)
            spec = with_volumes_of(spec, old, self._engine.image_volumes(str(spec.body.get("Image"))))
        if probe is not None:
            # A program that does not answer from here now will not do so later: it only has to run.
            local = self._engine.socket is not None
            proven = container.running and answers(container, probe, is_local=local)
            probe = HttpProbe(port=probe.port, path=probe.path, proven=True) if proven else None
        links = links_to(container, self._sampler.engine_watch.containers)
        return PlanInput(
            spec=spec, old=old, running=container.lives, paused=container.state == "paused",
            steady=container.running, probe=probe, loading_s=loading, links=links,
        )  # fmt: skip

    def spec_from_file(self, key: ServiceKey) -> ContainerSpec:
        """The spec of a service according to its Compose file.

        Raises:
            Refusal: it is not in a Compose file.
        """
        project = self._sampler.compose_watch.project
        declared = project.service(key.name) if project else None
        if project is None or declared is None:
            raise Refusal(f"{key.name} is in no Compose file, so it cannot be created", "name its file with --file")
        return ContainerSpec(name=declared.container_name, body=declared.body, networks=declared.networks)

    def spec_of(self, service: Service) -> ContainerSpec:
        """The spec that re-creates this service's container, else that of its Compose file."""
        return self._engine.spec(service.container.id) if service.container else self.spec_from_file(service.key)


def _image_name(name: str) -> str:
    """A valid image name: the service's name in lower case, without characters that are not allowed."""
    return "".join(sign if sign.isalnum() and sign.isascii() else "-" for sign in name.lower()).strip("-") or "service"
