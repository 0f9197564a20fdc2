"""Turns the canonical form of a project into services, each ready for the engine's create call."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gputui.compose.document import Located, Place
from gputui.compose.extension import Extension, ProjectExtension, extension_of
from gputui.compose.files import ComposeFiles
from gputui.compose.gpu_wishes import contradiction, gpu_wish, vram_of, written_mechanism
from gputui.compose.keys import SERVICE_KEYS, unsupported_keys
from gputui.compose.networks import endpoints, resources
from gputui.compose.writers import Target
from gputui.domain import compose_labels
from gputui.domain.compose import ComposeProject, ComposeService
from gputui.domain.launch import launch_of, variables_in
from gputui.domain.text import clean


def project_of(model: Located, files: ComposeFiles) -> ComposeProject:
    """The project that a canonical form describes.

    Raises:
        UsageError: `x-gputui` is invalid; the message names file, line and key.
    """
    name = str(model["name"])
    first = files.paths[0].name
    place = Place(first, directory=files.directory)
    networks, volumes = resources(model, "networks", name), resources(model, "volumes", name)
    services = model.get("services") or Located(first)
    containers = {key: str(entry.get("container_name") or f"{name}-{key}-1") for key, entry in services.items()}
    paths = tuple(str(path.absolute()) for path in files.paths)
    project_services = []
    for key, entry in services.items():
        service_place = place.of(model, "services").of(services, key)
        body: dict[str, Any] = {"AttachStdout": True, "AttachStderr": True}
        target = Target(
            name=key, body=body, host={"Binds": [], "Mounts": []}, place=service_place, volumes=volumes,
            secrets=model.get("secrets") or {}, configs=model.get("configs") or {}, containers=containers,
        )  # fmt: skip
        further = _fill_body(entry, target, networks)
        body["Labels"] = _labels(key, entry, name, str(files.directory), paths)
        project_services.append(_service(key, entry, target, further, service_place))
    return ComposeProject(
        name=name,
        files=paths,
        is_named=files.is_named,
        directory=str(files.directory),
        services=tuple(project_services),
        networks=tuple(owned for _, owned in networks.values() if owned),
        volumes=tuple(owned for _, owned in volumes.values() if owned),
        path_aliases=extension_of(model, ProjectExtension, place).path_aliases,
    )


def _fill_body(entry: Located, target: Target, networks: Mapping[str, Any]) -> dict[str, Any]:
    """Fill the create body, and return the endpoints of further networks."""
    place = target.place
    target.unsupported.extend(unsupported_keys(entry))
    if not entry.get("image"):
        target.unsupported.append("build" if "build" in entry else "image (missing)")
    if replicas_of(entry) > 1:
        target.unsupported.append("scale" if "scale" in entry else "deploy.replicas")
    target.body["HostConfig"] = target.host
    for key, row in SERVICE_KEYS.items():
        value = entry.get(key)
        if value is None or row.write is None:
            continue
        key_place = place.of(entry, key)
        row.write(value, replace(target, place=key_place))
    if entry.get("network_mode") is not None or entry.get("provider"):
        return {}
    names = (target.containers[target.name], target.name)
    attachments = endpoints(entry.get("networks") or {"default": None}, names, networks, place.of(entry, "networks"))
    primary, endpoint = attachments[0]
    target.host["NetworkMode"] = primary
    target.body["NetworkingConfig"] = {"EndpointsConfig": {primary: endpoint}}
    return dict(attachments[1:])


def replicas_of(entry: Mapping[str, Any]) -> int:
    """The number of containers that the file declares for a service."""
    scale = entry.get("scale")
    replicas = (entry.get("deploy") or {}).get("replicas") if scale is None else scale
    return 1 if replicas is None else int(replicas)


def _labels(
    name: str, entry: Mapping[str, Any], project: str, directory: str, files: tuple[str, ...]
) -> dict[str, str]:
    dependencies = (entry.get("depends_on") or {}).items()
    return {
        **(entry.get("labels") or {}),
        compose_labels.PROJECT: project,
        compose_labels.SERVICE: name,
        compose_labels.NUMBER: "1",
        compose_labels.ONE_OFF: "False",
        compose_labels.DEPENDS_ON: ",".join(
            f"{dependency}:{settings['condition']}:{'true' if settings.get('restart') else 'false'}"
            for dependency, settings in dependencies
        ),
        compose_labels.WORKING_DIR: directory,
        compose_labels.CONFIG_FILES: ",".join(files),
    }


def _service(name: str, entry: Located, target: Target, further: Mapping[str, Any], place: Place) -> ComposeService:
    extension = extension_of(entry, Extension, place)
    wish = gpu_wish(entry, extension, place)
    body = {key: value for key, value in target.body.items() if value is not None}
    has_variable = "VRAM_BUDGET_GB" in variables_in(body.get("Env"))
    return ComposeService(
        name=clean(name, 100),
        image=clean(str(entry.get("image") or ""), 300),
        container_name=target.containers[name],
        uses_gpus=wish.is_any or "x-gputui" in entry or entry.get("runtime") == "nvidia",
        gpus=wish.gpus,
        gpu_count=wish.count,
        capabilities=wish.capabilities,
        backend=extension.backend,
        model=clean(extension.model, 200) if extension.model else None,
        vram_mib=vram_of(entry, extension, place),
        depends_on=tuple(clean(dependency, 100) for dependency in entry.get("depends_on") or {}),
        fallback=extension.fallback,
        mechanism=extension.mechanism or written_mechanism(entry),
        priority=extension.priority or 0,
        isolate=bool(extension.isolate),
        has_budget=extension.budget_env is not None or has_variable,
        budget_env=extension.budget_env or "VRAM_BUDGET_GB",
        contradiction=contradiction(entry, wish, place),
        replicas=replicas_of(entry),
        launch=launch_of(body, body.get("HostConfig") or {}),
        body=body,
        networks=further,
        not_carried=tuple(clean(key, 80) for key in target.unsupported),
    )
