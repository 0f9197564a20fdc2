"""What Compose files say about services, as far as gputui supports it, and a service to be written into one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gputui.domain.gpu_variables import Contradiction
from gputui.domain.injection import MechanismName
from gputui.domain.launch import Launch
from gputui.domain.service import Fallback

OVERRIDE_NAME = "docker-compose.gpu-override.yml"
"""The file that gputui writes beside a Compose file, to be read over it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeService:
    """One service of a Compose file.

    `gpus` are the GPUs that the file names, as it writes them (index, UUID or `all`); `gpu_count` is the number it
    asks for instead; `capabilities` are asked of the driver beside `gpu`; `contradiction` is what the file says twice
    and differently about them. `replicas` is how many containers it asks for. `has_budget`: its VRAM budget may be
    adjusted, for the file names the variable that it is told by. `body` and `networks` are those of a `ContainerSpec`
    without GPUs. `not_carried` names the keys that gputui cannot carry: they block creating this
    service.
    """

    name: str
    image: str
    container_name: str = ""
    uses_gpus: bool = False
    gpus: tuple[str, ...] = ()
    gpu_count: int | None = None
    capabilities: tuple[str, ...] = ()
    backend: str | None = None
    model: str | None = None
    vram_mib: int | None = None
    depends_on: tuple[str, ...] = ()
    fallback: Fallback | None = None
    mechanism: MechanismName | None = None
    priority: int = 0
    isolate: bool = False
    has_budget: bool = False
    budget_env: str = "VRAM_BUDGET_GB"
    contradiction: Contradiction | None = None
    replicas: int = 1
    launch: Launch = field(default_factory=Launch)
    body: Mapping[str, Any] = field(default_factory=dict)
    networks: Mapping[str, Any] = field(default_factory=dict)
    not_carried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A network or a volume that a project owns: its key in the file, its name on the engine, and the body of the
    engine's create call."""

    key: str
    name: str
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeProject:
    """A Compose project: its name, its files, and its services.

    `is_named`: somebody named its files; else Compose finds them by itself. `networks` and `volumes` are those that the
    project owns; external ones are not among them. `path_aliases` are
    beginnings of paths that mean the same place.
    """

    name: str
    files: tuple[str, ...]
    directory: str
    is_named: bool = True
    services: tuple[ComposeService, ...] = ()
    networks: tuple[Resource, ...] = ()
    volumes: tuple[Resource, ...] = ()
    path_aliases: Mapping[str, str] = field(default_factory=dict)

    def service(self, name: str) -> ComposeService | None:
        """The service of that name."""
        return next((service for service in self.services if service.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewService:
    """What a person says of it. `ports` are as Compose writes them (`8001:8000`), `mounts` too (`/models:/models:ro`),
    `gpus` are labels or UUIDs."""

    name: str
    image: str
    command: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEdit:
    """A file before and after, and what is different as lines to read."""

    path: str
    before: str
    after: str
    diff: tuple[str, ...]
