"""New services: what there is to make them of, and writing them into the Compose file."""

import socket
from collections.abc import Collection, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from gputui.compose.append import proposed, write
from gputui.controller.settings import Settings
from gputui.controller.watch.sampler import Sampler
from gputui.domain.compose import FileEdit, NewService
from gputui.domain.container import Container
from gputui.domain.errors import Refusal, UsageError
from gputui.engine.protocol import Engine
from gputui.planning.changes.draft_edit import parse_gpus

FIRST_PORT = 8000


class NewServices:
    """Proposes, and writes what was looked at."""

    def __init__(self, engine: Engine, sampler: Sampler, settings: Settings) -> None:
        self._engine = engine
        self._sampler = sampler
        self._settings = settings

    def image_names(self) -> tuple[str, ...]:
        """The images on this machine, by their names."""
        return self._engine.image_names()

    def free_port(self, besides: Collection[int] = ()) -> int:
        """A port of this machine, from 8000 on, that no container has published or is to publish, nobody uses, and that
        is none of those `besides`."""
        taken = published(self._sampler.containers) | set(besides)
        project = self._sampler.project
        for service in project.services if project else ():
            taken |= {port for _, port, _ in service.launch.ports}
        return next(port for port in range(FIRST_PORT, 65536) if port not in taken and _is_free(port))

    def propose(self, service: NewService) -> FileEdit:
        """The Compose file with this service.

        Raises:
            Refusal: there is no Compose file.
            UsageError: something of the service is wrong.
        """
        self._settings.check_writable()
        self._sampler.check_files()
        project = self._sampler.project
        if project is None or not project.files:
            raise Refusal("there is no Compose file to write it into", "start gputui with --file COMPOSE")
        if service.gpus:
            # By UUID, for an index may be another GPU's after a reboot.
            service = replace(service, gpus=parse_gpus(",".join(service.gpus), self._sampler.gpus))
        if any(one.name == service.name for one in project.services):
            raise UsageError(f"there is a service {service.name} already", "choose another name")
        return proposed(Path(project.files[0]), service)

    def write(self, edit: FileEdit) -> None:
        """Write what was proposed, and read the file again."""
        self._settings.check_writable()
        write(edit)
        self._sampler.rescan()


def published(containers: Iterable[Container]) -> set[int]:
    """The ports of the host that containers have, or get when they start."""
    found: set[int] = set()
    for container in containers:
        found |= {one.host_port for one in container.published}
        found |= {port for _, port, _ in container.launch.ports}
    return found


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
