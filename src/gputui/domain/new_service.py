"""A service that is to be written into a Compose file."""

from dataclasses import dataclass


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
