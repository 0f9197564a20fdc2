"""Reading a Compose project: its services as gputui carries them."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gputui.domain.capabilities import CDI_KIND, MechanismName
from gputui.domain.compose import ComposeProject, ComposeService
from gputui.domain.container import asks_for_gpus
from gputui.domain.errors import UsageError
from gputui.domain.gpu import out_of_runs
from gputui.domain.launch import launch_of
from gputui.domain.text import clean
from gputui.domain.units import parse_size
from gputui.project import compose_body
from gputui.project.compose_merge import settle
from gputui.project.compose_model import active, read_model
from gputui.project.compose_network import resources
from gputui.project.compose_shape import ServiceShape, TopLevel, check_shape
from gputui.project.compose_storage import grantable
from gputui.project.compose_yaml import Located
from gputui.project.env_file import read_env_file

OVERRIDE_NAME = "docker-compose.gpu-override.yml"


class Extension(BaseModel):
    """`x-gputui` of a service."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    backend: Literal["vllm", "sglang", "tensorrt_llm", "tgi", "llama_cpp", "pytorch", "generic"] | None = None
    model: str | None = None
    vram: str | int | float | None = None
    priority: int | None = None
    isolate: bool | None = None
    gpus: list[str | int] | str | int | None = None
    fallback: Literal["never", "ask", "auto"] | None = None
    mechanism: MechanismName | None = None
    budget_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")


class ProjectExtension(BaseModel):
    """`x-gputui` at the top of a file."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    path_aliases: dict[str, str] = {}


def read_project(paths: Sequence[Path], project_name: str | None = None) -> ComposeProject:
    """The project that these files describe together, later ones over earlier ones.

    Raises:
        UsageError: a file cannot be read, or says something that is wrong; it names file, line and key.
    """
    variables = _variables(paths)
    return _project(settle(read_model(paths, variables, paths[0].absolute().parent)), paths, project_name, variables)


def read_canonical(found: Mapping[str, Any], paths: Sequence[Path], project_name: str | None = None) -> ComposeProject:
    """The project that `docker compose config` tells of these files.

    Raises:
        UsageError: it says something that gputui cannot read.
    """
    return _project(_located(found), paths, project_name, _variables(paths))


def _variables(paths: Sequence[Path]) -> dict[str, str]:
    """What may be written as `${NAME}`: the environment's before those of the `.env` file."""
    given = read_env_file(paths[0].absolute().parent / ".env", os.environ, required=False, where=".env")
    return {**given, **os.environ}


def _located(value: Any) -> Any:
    """What `docker compose config` printed, in which each dollar is written twice."""
    if isinstance(value, Mapping):
        made = Located("docker compose config")
        made.update({str(key).replace("$$", "$"): _located(inner) for key, inner in value.items()})
        return made
    if isinstance(value, list):
        return [_located(inner) for inner in value]
    return value.replace("$$", "$") if isinstance(value, str) else value


def _project(
    whole: Located, paths: Sequence[Path], project_name: str | None, variables: Mapping[str, str]
) -> ComposeProject:
    directory = paths[0].absolute().parent
    name = project_name or variables.get("COMPOSE_PROJECT_NAME") or str(whole.get("name") or directory.name)
    name = re.sub(r"[^a-z0-9_-]", "", name.lower()).lstrip("_-")
    if not name:
        raise UsageError("the project has no usable name", "give one with --project-name")
    services = whole.get("services")
    if not isinstance(services, Located):
        raise UsageError(f"{whole.where('services')}: a mapping of services is missing", "name at least one service")
    check_shape(TopLevel, whole)
    networks = resources(whole, "networks", name)
    volumes = resources(whole, "volumes", name)
    files = tuple(str(path.absolute()) for path in paths)
    context = compose_body.Context(
        project=name,
        directory=directory,
        files=files,
        networks=networks,
        volumes=volumes,
        secrets=grantable(whole, "secrets", directory),
        configs=grantable(whole, "configs", directory),
        containers={key: _container_name(name, key, entry) for key, entry in services.items()},
        variables=variables,
    )
    found = []
    profiles = frozenset(one.strip() for one in variables.get("COMPOSE_PROFILES", "").split(",") if one.strip())
    for key, entry in services.items():
        if not isinstance(entry, Located):
            raise UsageError(f"{services.where(key)}: a service is a mapping", "see its manual")
        check_shape(ServiceShape, entry)
        if not active(entry, profiles):
            continue
        _check_together(entry, services)
        found.append(_service(key, entry, context))
    return ComposeProject(
        name=name,
        files=files,
        directory=str(directory),
        services=tuple(found),
        networks=tuple(owned for _, owned in networks.values() if owned),
        volumes=tuple(owned for _, owned in volumes.values() if owned),
        path_aliases=_extension(whole, ProjectExtension).path_aliases,
    )


def _container_name(project: str, name: str, entry: Any) -> str:
    named = entry.get("container_name") if isinstance(entry, dict) else None
    return str(named or f"{project}-{name}-1")


def _check_together(entry: Located, services: Located) -> None:
    """What Compose refuses, and what would go wrong without it.

    Raises:
        UsageError: it depends on a service that is not there, or says two things that exclude each other.
    """
    for other in entry.get("depends_on") or ():
        required = True
        if isinstance(entry["depends_on"], dict):
            required = (entry["depends_on"][other] or {}).get("required", True)
        if required and other not in services:
            where = entry.where("depends_on")
            raise UsageError(f"{where}: there is no service {clean(str(other), 60)}", "name one of this file")
    if entry.get("network_mode") is not None and entry.get("networks"):
        raise UsageError(f"{entry.where('networks')}: networks and network_mode exclude each other", "keep one of them")


def _service(name: str, entry: Located, context: compose_body.Context) -> ComposeService:
    extension = _extension(entry, Extension)
    gpus, count = _wanted_gpus(entry, extension)
    body, networks, not_carried = compose_body.body_of(name, entry, context)
    not_carried = (*not_carried, *_other_vendors(entry))
    if not gpus and count is None and entry.get("runtime") == "nvidia":
        gpus = _visible(body.get("Env") or [])
    return ComposeService(
        name=clean(name, 100),
        image=clean(str(entry.get("image") or ""), 300),
        container_name=context.containers[name],
        uses_gpus=bool(gpus) or count is not None or "x-gputui" in entry or entry.get("runtime") == "nvidia",
        gpus=gpus,
        gpu_count=count,
        backend=extension.backend,
        model=clean(extension.model, 200) if extension.model else None,
        vram_mib=_vram(entry, extension),
        depends_on=tuple(clean(one, 100) for one in compose_body.dependencies(entry)),
        fallback=extension.fallback,
        mechanism=extension.mechanism or _written_mechanism(entry),
        priority=extension.priority or 0,
        isolate=bool(extension.isolate),
        has_budget=extension.budget_env is not None or _has_variable(body, "VRAM_BUDGET_GB"),
        budget_env=extension.budget_env or "VRAM_BUDGET_GB",
        contradiction=_with_line(entry, _contradiction(gpus, count, body.get("Env") or [])),
        launch=launch_of(body, body.get("HostConfig") or {}),
        body=body,
        networks=networks,
        not_carried=not_carried,
    )


E = TypeVar("E", bound=BaseModel)


def _extension(entry: Located, shape: type[E]) -> E:
    raw = entry.get("x-gputui")
    if raw is None:
        return shape()
    if not isinstance(raw, Located):
        raise UsageError(f"{entry.where('x-gputui')}: a mapping is expected", "see docs/compose.md")
    try:
        return shape.model_validate(dict(raw))
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        known = ", ".join(shape.model_fields)
        if first["type"] == "extra_forbidden":
            raise UsageError(f"{raw.where(key)}: not a key of x-gputui", f"known are {known}") from None
        raise UsageError(f"{raw.where(key)}: {clean(str(first['msg']), 120)}", "see docs/compose.md") from None


def _vram(entry: Located, extension: Extension) -> int | None:
    if extension.vram is not None:
        return parse_size(str(extension.vram), where=entry["x-gputui"].where("vram"))
    for request in _requests(entry):
        size = (request.get("options") or {}).get("vram")
        if size is not None:
            return parse_size(str(size), where=f"{entry.where('deploy')}: options: vram")
    return None


def _requests(entry: Located) -> list[Any]:
    """The requests for GPUs of `gpus:` and of the reservation."""
    gpus = entry.get("gpus")
    deploy: Mapping[str, Any] = entry.get("deploy") or {}
    reserved = ((deploy.get("resources") or {}).get("reservations") or {}).get("devices") or []
    return [*(gpus if isinstance(gpus, list) else []), *reserved]


def _wanted_gpus(entry: Located, extension: Extension) -> tuple[tuple[str, ...], int | None]:
    """The GPUs by name, else their number: of x-gputui, else `gpus:`, else the reservation."""
    if extension.gpus is not None:
        names = extension.gpus if isinstance(extension.gpus, list) else out_of_runs(str(extension.gpus))
        return _named(tuple(str(name).strip() for name in names), entry["x-gputui"].where("gpus")), None
    if entry.get("gpus") == "all":
        return ("all",), None
    requests = entry.get("gpus") if isinstance(entry.get("gpus"), list) else None
    where = entry.where("gpus")
    if requests is not None:
        requests = [one for one in requests if (one.get("driver") or "") in NVIDIA_DRIVERS]
    else:
        deploy: Mapping[str, Any] = entry.get("deploy") or {}
        reservations = (deploy.get("resources") or {}).get("reservations") or {}
        requests = [one for one in reservations.get("devices") or [] if _asks_for_gpus(one)]
        where = reservations.where("devices") if isinstance(reservations, Located) and requests else where
    for request in requests:
        ids, count = request.get("device_ids"), request.get("count")
        if ids and count is not None:
            raise UsageError(f"{where}: count and device_ids exclude each other", "keep one of them")
        if ids:
            return _named(tuple(str(name) for name in ids), where), None
        count = int(count) if isinstance(count, str) and count.lstrip("-").isdigit() else count
        if count in (None, "all", -1):
            return ("all",), None
        if isinstance(count, int) and count >= 0:
            return (), count
        raise UsageError(f"{where}: count is a number or all", "mend it")
    by_cdi = _cdi_devices(entry)
    return (_named(by_cdi, entry.where("devices")) if by_cdi else ()), None


def _cdi_devices(entry: Located) -> tuple[str, ...]:
    """The GPUs among `devices`."""
    listed = [str(one.get("source") if isinstance(one, Mapping) else one) for one in entry.get("devices") or []]
    return tuple(one for one in listed if compose_body.is_cdi_gpu(one))


def _written_mechanism(entry: Located) -> MechanismName | None:
    """The mechanism that the file asks for in Compose's own words."""
    drivers = {str(one.get("driver") or "") for one in _requests(entry)}
    return "cdi" if "cdi" in drivers or (not drivers and _cdi_devices(entry)) else None


NVIDIA_DRIVERS = ("", "nvidia", "cdi")


def _other_vendors(entry: Located) -> list[str]:
    """Requests that are for another vendor's devices, as keys that cannot be carried."""
    drivers = dict.fromkeys(str(one.get("driver") or "") for one in _requests(entry))
    return [f"devices (driver {clean(driver, 40)})" for driver in drivers if driver not in NVIDIA_DRIVERS]


def _asks_for_gpus(request: Mapping[str, Any]) -> bool:
    names = [str(name) for name in request.get("device_ids") or []]
    return asks_for_gpus(str(request.get("driver") or ""), [request.get("capabilities") or []], names)


def _has_variable(body: Mapping[str, Any], name: str) -> bool:
    return any(str(line).partition("=")[0] == name for line in body.get("Env") or [])


def _visible(environment: Sequence[str]) -> tuple[str, ...]:
    """With `runtime: nvidia` and without a request, the variable decides."""
    value = dict(line.partition("=")[::2] for line in environment).get("NVIDIA_VISIBLE_DEVICES", "")
    return tuple(clean(part.strip(), 120) for part in value.split(",") if part.strip() not in ("", "none", "void"))


def _with_line(entry: Located, what: str | None) -> str | None:
    """With the line of the file that the variables stand in."""
    key = next((key for key in ("environment", "env_file") if key in entry), None)
    return f"{entry.where(key)}: {what}" if what and key else what


def _contradiction(gpus: tuple[str, ...], count: int | None, environment: Sequence[str]) -> str | None:
    """What the environment says of GPUs against the request for them. `all` in both is one thing said twice; inside a
    container with n GPUs CUDA counts them from 0 to n - 1, whatever they are called outside."""
    variables = dict(line.partition("=")[::2] for line in environment)
    number = len(gpus) if gpus and "all" not in gpus else count
    visible = variables.get("NVIDIA_VISIBLE_DEVICES")
    if visible is not None and (gpus or count is not None) and not _same_gpus(visible, gpus, count):
        asked = ",".join(gpus) or ("all" if count == -1 else f"{count} of them")
        return f"NVIDIA_VISIBLE_DEVICES={clean(visible, 60)}, but the request is for GPUs {clean(asked, 60)}"
    hides = variables.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1", "none")
    if hides and (gpus or count):
        return "CUDA_VISIBLE_DEVICES hides every GPU, but the request is for some"
    places = [part.strip() for part in variables.get("CUDA_VISIBLE_DEVICES", "").split(",") if part.strip()]
    if number and number > 0 and any(part.isdigit() and int(part) >= number for part in places):
        shown = clean(",".join(places), 60)
        return f"CUDA_VISIBLE_DEVICES={shown}, but inside the container {_inside(number)}"
    return None


def _same_gpus(visible: str, gpus: tuple[str, ...], count: int | None) -> bool:
    """Whether the variable and the request may mean the same; of an index and a UUID that cannot be told here."""
    names = {part.strip() for part in visible.split(",") if part.strip()}
    if names & {"none", "void"}:
        return not gpus and not count
    if "all" in names or "all" in gpus or count == -1:
        return "all" in names and ("all" in gpus or count == -1)
    if not gpus:
        return len(names) == count
    written_alike = {name.isdigit() for name in (*names, *gpus)}
    return names == set(gpus) if len(written_alike) == 1 else len(names) == len(gpus)


def _inside(number: int) -> str:
    return "its GPU is 0" if number == 1 else f"its {number} GPUs are 0 to {number - 1}"


def _named(names: tuple[str, ...], where: str) -> tuple[str, ...]:
    names = tuple(clean(name, 120).removeprefix(f"{CDI_KIND}=") for name in names if name not in ("", "none"))
    if len(set(names)) != len(names):
        raise UsageError(f"{where}: the same GPU is named twice", "name each GPU once")
    return names
