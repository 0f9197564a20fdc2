"""Converts raw inspect data to a container, and to the spec that re-creates it."""

import copy
import re
from collections.abc import Mapping
from posixpath import normpath
from typing import Any

from gputui.domain.container import (
    GPU_VARIABLES,
    LABEL_ORIGINAL,
    Container,
    ContainerSpec,
    DeviceRequest,
    Health,
    PublishedPort,
    sees_all_devices,
    variable_marks,
)
from gputui.domain.launch import Launch, launch_of, mounts_listed, variables_in
from gputui.domain.original import Original, with_variables
from gputui.domain.text import clean, mapping, sequence, whole_number

_HEALTH: dict[str, Health] = {"starting": "starting", "healthy": "healthy", "unhealthy": "unhealthy"}
_NEVER = "0001-01-01T00:00:00Z"

GPU_NODE = re.compile(r"^nvidia\d+$")


def container_from(data: Mapping[str, Any]) -> Container:
    """The container that inspect describes, with all strings sanitised."""
    config, host, state = (mapping(data.get(key)) for key in ("Config", "HostConfig", "State"))
    started = state.get("StartedAt")
    health = mapping(state.get("Health")).get("Status")
    variables = variables_in(config.get("Env"))
    return Container(
        id=str(data["Id"]),
        name=clean(str(data.get("Name", "")).lstrip("/"), 200),
        image=clean(str(config.get("Image") or data.get("Image") or ""), 300),
        created_at=str(data.get("Created") or ""),
        launch=launch_of(config, host, mounts_listed(data) or None),
        unedited=_unedited(config, host, data),
        state=str(state.get("Status") or "created"),
        health=_HEALTH.get(str(health)),
        exit_code=whole_number(state.get("ExitCode"))
        if state.get("Status") in ("exited", "dead", "restarting")
        else None,
        error=clean(str(state.get("Error") or ""), 600),
        restart_count=whole_number(data.get("RestartCount")) or 0,
        started_at=None if started in (None, "", _NEVER) else str(started),
        pid=whole_number(state.get("Pid"), least=1),
        labels={
            clean(str(key), 200): clean(str(value), 600)
            for key, value in mapping(config.get("Labels")).items()
            if key != LABEL_ORIGINAL  # it contains a full command line, which may contain secrets
        },
        gpu_environment={name: clean(variables[name], 600) for name in GPU_VARIABLES if name in variables},
        device_requests=tuple(_request(request) for request in sequence(host.get("DeviceRequests"))),
        device_nodes=_device_nodes(host),
        runtime=str(host.get("Runtime") or ""),
        sees_all_devices=sees_all_devices(host),
        privileged=bool(host.get("Privileged")),
        auto_remove=bool(host.get("AutoRemove")),
        oom_killed=bool(state.get("OOMKilled")) and state.get("Status") != "running",
        published=_published(data),
        addresses=_addresses(data, host),
        network_mode=clean(str(host.get("NetworkMode") or ""), 100),
        shares_with=_shares_with(host),
        links=_links(host),
        variables=variable_marks(config.get("Env")),
        has_healthcheck=_has_healthcheck(config),
        stop_signal=str(config.get("StopSignal") or ""),
        stop_timeout_s=whole_number(config.get("StopTimeout"), least=0),
    )


def _unedited(config: Mapping[str, Any], host: Mapping[str, Any], data: Mapping[str, Any]) -> Launch | None:
    original = Original.parse(mapping(config.get("Labels")).get(LABEL_ORIGINAL))
    if original is None:
        return None
    environment = with_variables(sequence(config.get("Env")), original.variables)
    return launch_of({**config, "Cmd": original.command, "Env": environment}, host, mounts_listed(data) or None)


def _links(host: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The links, which inspect reports as `/db:/llm/alias`."""
    parts = (str(link).partition(":") for link in sequence(host.get("Links")))
    return tuple((clean(target.lstrip("/"), 200), clean(path.rpartition("/")[2], 200)) for target, _, path in parts)


def _shares_with(host: Mapping[str, Any]) -> tuple[str, ...]:
    modes = [str(host.get(key) or "") for key in ("NetworkMode", "IpcMode", "PidMode")]
    names = [mode.partition(":")[2] for mode in modes if mode.startswith("container:")]
    return (*names, *(str(source).partition(":")[0] for source in sequence(host.get("VolumesFrom"))))


def _published(data: Mapping[str, Any]) -> tuple[PublishedPort, ...]:
    ports = []
    for name, bindings in mapping(mapping(data.get("NetworkSettings")).get("Ports")).items():
        port, _, protocol = str(name).partition("/")
        for binding in map(mapping, sequence(bindings)):
            inside, outside = (whole_number(number, least=1, most=65535) for number in (port, binding.get("HostPort")))
            if inside is not None and outside is not None:
                address = clean(str(binding.get("HostIp") or ""), 60)
                ports.append(PublishedPort(inside, clean(protocol, 10), address, outside))
    return tuple(ports)


def _addresses(data: Mapping[str, Any], host: Mapping[str, Any]) -> tuple[str, ...]:
    if host.get("NetworkMode") == "host":
        return ("127.0.0.1",)
    networks = map(mapping, mapping(mapping(data.get("NetworkSettings")).get("Networks")).values())
    return tuple(clean(str(network["IPAddress"]), 60) for network in networks if network.get("IPAddress"))


def _request(raw_request: object) -> DeviceRequest:
    data = mapping(raw_request)
    return DeviceRequest(
        driver=clean(str(data.get("Driver") or ""), 60),
        count=whole_number(data.get("Count")) or 0,
        device_ids=tuple(clean(str(name), 120) for name in sequence(data.get("DeviceIDs"))),
        capabilities=tuple(
            tuple(str(name) for name in sequence(group)) for group in sequence(data.get("Capabilities"))
        ),
        options={str(name): str(value) for name, value in mapping(data.get("Options")).items()},
    )


def _device_nodes(host: Mapping[str, Any]) -> tuple[str, ...]:
    paths = [str(mapping(device).get("PathInContainer") or "") for device in sequence(host.get("Devices"))]
    return tuple(clean(path, 60) for path in paths if GPU_NODE.match(path.removeprefix("/dev/")))


def _has_healthcheck(config: Mapping[str, Any]) -> bool:
    test = sequence(mapping(config.get("Healthcheck")).get("Test"))
    return bool(test) and test[0] != "NONE"


def spec_from(data: Mapping[str, Any], *, image_moved: bool) -> ContainerSpec:
    """The spec to re-create the same container.

    Config and HostConfig are copied in full. Values generated by the engine are dropped (a host name that is the old
    id, the old id as an alias, a generated MAC address); anonymous volumes are named, because otherwise the new
    container would start with empty ones. `image_moved`: the tag points to a different image; the running one is kept.
    """
    identity = str(data["Id"])
    body: dict[str, Any] = copy.deepcopy(dict(mapping(data.get("Config"))))
    if body.get("Hostname") == identity[:12]:
        body.pop("Hostname")
    if not body.get("MacAddress"):
        body.pop("MacAddress", None)  # a value here was requested; a generated one is only in the network
    if image_moved:
        body["Image"] = str(data.get("Image") or "")
    host = copy.deepcopy(dict(mapping(data.get("HostConfig"))))
    if str(host.get("NetworkMode", "")).startswith("container:"):
        body.pop("Hostname", None)
        body.pop("ExposedPorts", None)
    # A bind or mount without a source requests an anonymous volume; the existing one is named below.
    host["Binds"] = [bind for bind in sequence(host.get("Binds")) if ":" in str(bind)]
    host["Mounts"] = [
        mount
        for mount in map(mapping, sequence(host.get("Mounts")))
        if mount.get("Type") != "volume" or mount.get("Source")
    ]
    host["Mounts"] += _volumes_to_keep(data, host)
    body["HostConfig"] = host
    host["NetworkMode"] = _network_by_name(data, str(host.get("NetworkMode") or "default"))
    primary, endpoints = _endpoints(data, host["NetworkMode"], identity)
    if primary in endpoints:
        # API 1.41 accepts one endpoint on create; the others are connected before the start.
        body["NetworkingConfig"] = {"EndpointsConfig": {primary: endpoints.pop(primary)}}
    return ContainerSpec(name=str(data.get("Name", "")).lstrip("/"), body=body, networks=endpoints)


def _volumes_to_keep(data: Mapping[str, Any], host: Mapping[str, Any]) -> list[dict[str, Any]]:
    targets = {normpath(str(bind).split(":")[1]) for bind in host["Binds"]}
    targets |= {normpath(str(mount.get("Target"))) for mount in host["Mounts"]}
    return [
        {
            "Type": "volume",
            "Source": mount["Name"],
            "Target": str(mount.get("Destination")),
            "ReadOnly": not mount.get("RW", True),
        }
        for mount in map(mapping, sequence(data.get("Mounts")))
        if mount.get("Type") == "volume" and mount.get("Name") and str(mount.get("Destination")) not in targets
    ]


def _network_by_name(data: Mapping[str, Any], mode: str) -> str:
    """The name of the network that the container is created with, if the mode is a network id."""
    networks = mapping(mapping(data.get("NetworkSettings")).get("Networks"))
    if not re.fullmatch(r"[0-9a-f]{4,64}", mode):
        return mode
    names = (name for name, network in networks.items() if str(mapping(network).get("NetworkID")).startswith(mode))
    return next((name for name in names if name != mode), mode)


def _endpoints(data: Mapping[str, Any], mode: str, identity: str) -> tuple[str, dict[str, Any]]:
    if mode in ("host", "none") or mode.startswith("container:"):
        return mode, {}
    primary = "bridge" if mode == "default" else mode
    endpoints = {}
    networks = mapping(mapping(data.get("NetworkSettings")).get("Networks"))
    attachments = {str(name): mapping(attachment) for name, attachment in networks.items()}
    for name, attachment in attachments.items():
        # Docker lists a network that was referred to by an id prefix a second time, under that prefix.
        network_id = str(attachment.get("NetworkID") or "")
        if network_id.startswith(name) and any(
            network_id == other_attachment.get("NetworkID") and other_attachment is not attachment
            for other_attachment in attachments.values()
        ):
            continue
        endpoint = {
            key: attachment[key] for key in ("IPAMConfig", "Links", "DriverOpts", "GwPriority") if attachment.get(key)
        }
        aliases = [alias for alias in sequence(attachment.get("Aliases")) if alias != identity[:12]]
        if aliases and name != "bridge":
            endpoint["Aliases"] = aliases
        endpoints[name] = endpoint
    return primary, endpoints
