"""The definitions of services: new ones, written into the Compose file, and existing ones."""

import socket
from collections.abc import Collection, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from gputui.compose.append import proposed, write
from gputui.controller.local_watch import LocalWatch
from gputui.controller.plan_inputs import PlanInputs
from gputui.controller.settings import Settings
from gputui.controller.watch.sampler import Sampler
from gputui.domain.compose import FileEdit, NewService
from gputui.domain.container import Container
from gputui.domain.errors import Refusal, UsageError
from gputui.domain.service import ServiceKey
from gputui.engine.protocol import Engine
from gputui.planning.changes.draft_edit import parse_gpus
from gputui.planning.changes.run_command import run_command, shown_body

FIRST_PORT = 8000


class LocalComposeFiles:
    """Implements `ComposeFiles`: proposes and writes edits, and shows how containers are created."""

    def __init__(self, engine: Engine, sampler: Sampler, watch: LocalWatch, settings: Settings) -> None:
        self._engine = engine
        self._sampler = sampler
        self._watch = watch
        self._settings = settings
        self._inputs = PlanInputs(engine, sampler, settings)

    def image_names(self) -> tuple[str, ...]:
        """The names of the images on this machine."""
        return self._engine.image_names()

    def free_port(self, besides: Collection[int] = ()) -> int:
        """A free port of this machine, from 8000 on, that no container publishes or will publish and that is not one of
        `besides`."""
        used_ports = published(self._sampler.engine_watch.containers) | set(besides)
        project = self._sampler.compose_watch.project
        for service in project.services if project else ():
            used_ports |= {port for _, port, _ in service.launch.ports}
        return next(port for port in range(FIRST_PORT, 65536) if port not in used_ports and _is_free(port))

    def propose(self, service: NewService) -> FileEdit:
        """The Compose file with this service.

        Raises:
            Refusal: there is no Compose file.
            UsageError: something of the service is wrong.
        """
        self._settings.check_writable()
        self._sampler.compose_watch.check_read()
        project = self._sampler.compose_watch.project
        if project is None or not project.files:
            raise Refusal("there is no Compose file to write it into", "start gputui with --file COMPOSE")
        if service.gpus:
            # By UUID, because an index may belong to another GPU after a reboot.
            service = replace(service, gpus=parse_gpus(",".join(service.gpus), self._sampler.gpus))
        if any(existing.name == service.name for existing in project.services):
            raise UsageError(f"there is a service {service.name} already", "choose another name")
        return proposed(Path(project.files[0]), service)

    def write(self, edit: FileEdit) -> None:
        """Write what was proposed, and read the file again."""
        self._settings.check_writable()
        write(edit)
        self._sampler.rescan()

    def run_command(self, key: ServiceKey) -> str:
        """The `docker run` command that creates this service's container."""
        return run_command(self._inputs.spec_of(self._watch.service(key)), self._sampler.engine_watch.program)

    def create_body(self, key: ServiceKey) -> str:
        """The body of the engine's create call for it."""
        return shown_body(self._inputs.spec_of(self._watch.service(key)))


def published(containers: Iterable[Container]) -> set[int]:
    """The host ports that containers publish, or will publish when they start."""
    ports: set[int] = set()
    for container in containers:
        ports |= {binding.host_port for binding in container.published}
        ports |= {port for _, port, _ in container.launch.ports}
    return ports


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
