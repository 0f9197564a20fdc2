"""The services of Compose files, as far as gputui supports them, and a new service to add to one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gputui.domain.gpu_variables import Contradiction
from gputui.domain.injection import MechanismName
from gputui.domain.launch import Launch
from gputui.domain.service import Fallback

OVERRIDE_NAME = "docker-compose.gpu-override.yml"
"""The override file that gputui writes beside a Compose file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeService:
    """One service of a Compose file.

    `gpus` are the GPUs named in the file, as written (index, UUID or `all`); `gpu_count` is the number requested
    instead; `capabilities` are driver capabilities beside `gpu`; `contradiction` are contradicting statements about
    them. `replicas` is the declared number of containers. `has_budget`: its VRAM budget can be adjusted, because the
    file names the variable for it. `body` and `networks` are those of a `ContainerSpec` without GPUs. `not_carried`
    names the unsupported keys, which prevent creating this service.
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

    `is_named`: its files were given explicitly; otherwise Compose finds them by itself. `networks` and `volumes` are
    those that the project owns, without external ones. `path_aliases` maps path prefixes that refer to the same
    location.
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
    """A service to add to a Compose file. `ports` (`8001:8000`) and `mounts` (`/models:/models:ro`) are in Compose's
    syntax, `gpus` are labels or UUIDs."""

    name: str
    image: str
    command: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEdit:
    """A file before and after an edit, and the difference as readable lines."""

    path: str
    old_text: str
    new_text: str
    diff: tuple[str, ...]
