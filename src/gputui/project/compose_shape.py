"""The shape that a service of a Compose file must have, as far as gputui reads it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from gputui.domain.errors import UsageError
from gputui.domain.text import clean
from gputui.project.compose_yaml import Located

Scalar = str | int | float | bool
Pairs = dict[str, Scalar | None] | list[str]
Words = str | list[Scalar]


class _Shape(BaseModel):
    """Keys that are not named may hold anything: they are not read, or are told not to be carried."""

    model_config = ConfigDict(extra="allow", strict=True, defer_build=True)


class Device(_Shape):
    """A device request."""

    driver: str | None = None
    count: int | str | None = None
    device_ids: list[str | int] | None = None
    capabilities: list[str] | None = None


class Reservations(_Shape):
    """`deploy.resources.reservations`."""

    devices: list[Device] | None = None


class Resources(_Shape):
    """`deploy.resources`."""

    reservations: Reservations | None = None


class Deploy(_Shape):
    """`deploy`."""

    resources: Resources | None = None


class Healthcheck(_Shape):
    """`healthcheck`."""

    test: Words | None = None
    retries: int | None = None
    disable: bool | None = None


class Volume(_Shape):
    """A volume in its long form."""

    type: str
    source: str | None = None
    target: str
    read_only: bool | None = None


class Port(_Shape):
    """A port in its long form."""

    target: int | str
    published: int | str | None = None
    protocol: str | None = None
    host_ip: str | None = None


class Endpoint(_Shape):
    """A network of a service."""

    aliases: list[str] | None = None
    ipv4_address: str | None = None
    ipv6_address: str | None = None


class Ulimit(_Shape):
    """A limit with its soft and hard value."""

    soft: int
    hard: int


class Logging(_Shape):
    """`logging`."""

    driver: str | None = None
    options: dict[str, Scalar] | None = None


class EnvFile(_Shape):
    """An `env_file` in its long form."""

    path: str
    required: bool | None = None


class ServiceShape(_Shape):
    """A service."""

    image: str | None = None
    container_name: str | None = None
    command: Words | None = None
    entrypoint: Words | None = None
    environment: Pairs | None = None
    env_file: str | list[str | EnvFile] | None = None
    labels: Pairs | None = None
    volumes: list[str | Volume] | None = None
    ports: list[str | int | Port] | None = None
    networks: list[str] | dict[str, Endpoint | None] | None = None
    depends_on: list[str] | dict[str, Any] | None = None
    healthcheck: Healthcheck | None = None
    restart: str | bool | None = None
    shm_size: str | int | None = None
    mem_limit: str | int | None = None
    stop_grace_period: str | None = None
    stop_signal: str | None = None
    user: str | int | None = None
    working_dir: str | None = None
    hostname: str | None = None
    domainname: str | None = None
    tty: bool | None = None
    stdin_open: bool | None = None
    ipc: str | None = None
    pid: str | None = None
    network_mode: str | None = None
    runtime: str | None = None
    privileged: bool | None = None
    read_only: bool | None = None
    init: bool | None = None
    cap_add: list[str] | None = None
    cap_drop: list[str] | None = None
    security_opt: list[str] | None = None
    group_add: list[str | int] | None = None
    extra_hosts: Pairs | None = None
    tmpfs: str | list[str] | None = None
    ulimits: dict[str, int | Ulimit] | None = None
    logging: Logging | None = None
    gpus: str | list[Device] | None = None
    deploy: Deploy | None = None


class TopLevel(_Shape):
    """The sections of a file that name networks and volumes."""

    networks: dict[str, dict[str, Any] | None] | None = None
    volumes: dict[str, dict[str, Any] | None] | None = None


def check_shape(shape: type[_Shape], found: Located) -> None:
    """A mapping of a Compose file has the shape that is expected of it.

    Raises:
        UsageError: it has not; file, line and key are named.
    """
    try:
        shape.model_validate(dict(found))
    except ValidationError as error:
        # Of a choice of types each alternative reports; the one that came furthest is the one that was meant.
        worst = max(error.errors(), key=lambda one: len(one["loc"]))
        where, key = _place(found, worst["loc"])
        raise UsageError(
            f"{where}: {clean(worst['msg'], 120)}", f"see the Compose manual on {clean(key, 60)}"
        ) from None


def _place(found: Located, place: tuple[int | str, ...]) -> tuple[str, str]:
    where, key, inner = "", "", found
    value: Any = found
    for part in place:
        if isinstance(value, Located) and isinstance(part, str) and part in value:
            where, key, inner = value.where(part), part, value
            value = value[part]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        elif isinstance(part, str) and isinstance(value, Located) and not part[:1].isupper():
            return f"{inner.file}:{inner.lines.get(key, 1)}: {clean(key or part, 60)}: {clean(part, 60)}", key or part
    return where, key
