"""A container's spec with another view of its GPUs, another budget, or changed arguments; everything else is
unchanged."""

import copy
import json
from collections.abc import Collection, Mapping, Sequence
from posixpath import normpath
from typing import Any

from gputui.domain.container import (
    LABEL_APPLY,
    LABEL_BUDGET,
    LABEL_EDITS,
    LABEL_GPUS,
    LABEL_OPERATOR,
    LABEL_ORDER,
    LABEL_ORIGINAL,
    LABEL_REVISION,
    ContainerSpec,
    asks_for_gpus,
)
from gputui.domain.errors import Refusal
from gputui.domain.launch import variables_in
from gputui.domain.original import Original, with_variables
from gputui.domain.plan import ContainerView
from gputui.domain.service import Edit
from gputui.domain.text import mask_secret
from gputui.planning.changes.argument_edit import with_argument


def with_gpus(spec: ContainerSpec, view: ContainerView, *, revision: int, operator: str) -> ContainerSpec:
    """The spec of a container with the GPUs of `view`.

    One device request replaces the old GPU requests and keeps the capabilities and options of the last; requests for
    other devices stay. The variables match the request: the daemon appends NVIDIA_VISIBLE_DEVICES, and a process sees
    the last one. If the nvidia runtime reads that variable instead, there is no request, and the driver capabilities of
    the old one move to NVIDIA_DRIVER_CAPABILITIES.
    """
    body = copy.deepcopy(dict(spec.body))
    marks = {LABEL_REVISION: str(revision), LABEL_OPERATOR: operator}
    if view.as_written:
        return ContainerSpec(
            name=spec.name, body={**body, "Labels": {**(body.get("Labels") or {}), **marks}}, networks=spec.networks
        )
    host = body.setdefault("HostConfig", {})
    requests = list(host.get("DeviceRequests") or [])
    # If there are several, the daemon's hook uses the last one.
    old: dict[str, Any] = next((request for request in reversed(requests) if _asks_for_gpus(request)), {})
    new_requests = [request for request in requests if not _asks_for_gpus(request)]
    variables = {
        "NVIDIA_VISIBLE_DEVICES": view.nvidia_visible_devices,
        "CUDA_VISIBLE_DEVICES": view.cuda_visible_devices,
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID" if view.gpus else None,
    }
    if view.device_ids:
        driver = old.get("Driver") or ""
        new = {
            "Driver": "cdi" if view.mechanism == "cdi" else "" if driver == "cdi" else driver,
            "Count": 0,
            "DeviceIDs": list(view.device_ids),
            "Capabilities": old.get("Capabilities") or [["gpu"]],
            "Options": old.get("Options") or {},
        }
        new_requests.append(new)
    elif view.mechanism == "runtime":
        host["Runtime"] = "nvidia"
        driver_capabilities = {name for group in old.get("Capabilities") or [] for name in group} - {"gpu", "nvidia"}
        if driver_capabilities:
            variables["NVIDIA_DRIVER_CAPABILITIES"] = ",".join(sorted(driver_capabilities))
    host["DeviceRequests"] = new_requests
    # GPUs passed one by one, or added by Podman for the old request, would add to those of the new one.
    if host.get("Devices"):
        host["Devices"] = [device for device in host["Devices"] if not _is_gpu_node(device)]
    body["Env"] = with_variables(body.get("Env") or [], variables)
    body["Labels"] = {
        **(body.get("Labels") or {}),
        LABEL_GPUS: ",".join(view.gpus),
        LABEL_ORDER: view.cuda_visible_devices or "",
        **marks,
    }
    return ContainerSpec(name=spec.name, body=body, networks=spec.networks)


def with_edits(
    spec: ContainerSpec, *, budget_mib: int | None, budget_env: str | None, edits: Sequence[Edit]
) -> ContainerSpec:
    """The spec with a VRAM budget (GiB with one decimal, in the variable `budget_env`, if it is passed by one) and
    changed arguments.

    The original values are saved in a label, so that undoing the edits restores them.
    """
    body = copy.deepcopy(dict(spec.body))
    labels = dict(body.get("Labels") or {})
    environment, command = list(body.get("Env") or []), body.get("Cmd")
    original = Original.parse(labels.pop(LABEL_ORIGINAL, None))
    if original is not None:
        command = original.command
        environment = with_variables(environment, original.variables)
    labels.pop(LABEL_BUDGET, None)
    labels.pop(LABEL_EDITS, None)
    if budget_mib is not None or edits:
        variables = variables_in(environment)
        remembered = {budget_env: variables.get(budget_env)} if budget_mib is not None and budget_env else {}
        labels[LABEL_ORIGINAL] = Original(command=command, variables=remembered).label()
    if budget_mib is not None:
        if budget_env:
            environment = with_variables(environment, {budget_env: gib_down(budget_mib)})
        labels[LABEL_BUDGET] = str(budget_mib)
    if edits:
        # The entrypoint may be a shell, and the command its script.
        entrypoint = list(body.get("Entrypoint") or [])
        words = [*entrypoint, *(command or [])]
        for edit in edits:
            words = with_argument(words, edit.argument, edit.value)
        if words[: len(entrypoint)] != entrypoint:
            raise Refusal("the options are in the container's entrypoint", "write the option there")
        command = words[len(entrypoint) :]
        labels[LABEL_EDITS] = edits_mark(edits)
    body |= {"Env": environment, "Cmd": command, "Labels": labels}
    return ContainerSpec(name=spec.name, body=body, networks=spec.networks)


def with_file_budget(spec: ContainerSpec, file: ContainerSpec, budget_env: str) -> ContainerSpec:
    """The spec of a container that somebody else created with our budget: the original value of its variable is the
    file's."""
    body = dict(spec.body)
    file_variables = variables_in(file.body.get("Env"))
    original = Original(command=body.get("Cmd"), variables={budget_env: file_variables.get(budget_env)})
    body["Labels"] = {**(body.get("Labels") or {}), LABEL_ORIGINAL: original.label()}
    return ContainerSpec(name=spec.name, body=body, networks=spec.networks)


def gib_down(mib: int) -> str:
    """A budget as passed to its service: GiB, one decimal, rounded down."""
    return f"{max(1, mib * 10 // 1024) / 10:.1f}"


def edits_text(edits: Sequence[Edit]) -> str:
    """The edits in readable form."""
    words = (f"{edit.argument}={mask_secret(edit.argument, edit.value or '')}" for edit in edits)
    return " ".join(words)


def edits_mark(edits: Sequence[Edit]) -> str:
    """A digest of the edits for a label: short, and without their values, which may be secrets."""
    if not edits:
        return ""
    import hashlib  # noqa: PLC0415 - it loads OpenSSL, for which the first picture must not wait

    text = json.dumps([[edit.argument, edit.value] for edit in edits])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def with_namespaces(spec: ContainerSpec, names: Mapping[str, str]) -> ContainerSpec:
    """The spec with references to other containers, whose network, IPC, PIDs or volumes it uses, replaced as in
    `names`: a re-created container has another ID."""
    body = copy.deepcopy(dict(spec.body))
    host = body.get("HostConfig") or {}
    for key in ("NetworkMode", "IpcMode", "PidMode"):
        kind, colon, target = str(host.get(key) or "").partition(":")
        if kind == "container" and colon:
            host[key] = f"container:{names.get(target, target)}"
    if host.get("VolumesFrom"):
        parts = (str(volume).partition(":") for volume in host["VolumesFrom"])
        host["VolumesFrom"] = [names.get(container, container) + colon + mode for container, colon, mode in parts]
    return ContainerSpec(name=spec.name, body=body, networks=spec.networks)


def with_volumes_of(spec: ContainerSpec, old: ContainerSpec, image_volumes: Collection[str]) -> ContainerSpec:
    """The spec of a Compose file with the anonymous volumes of the container that it replaces.

    As Compose does it (`buildContainerMountOptions` in its `pkg/compose/create.go`): where the file requests such a
    volume, and where the image has one (`image_volumes`) and the file does not mention that path. If only the old image
    had one it is kept, too: existing data is not discarded on a guess.
    """
    body = copy.deepcopy(dict(spec.body))
    host = body.setdefault("HostConfig", {})
    present = _mounted(old)
    mounts = list(host.get("Mounts") or [])
    for number, mount in enumerate(mounts):
        mounted = present.get(normpath(str(mount.get("Target"))))
        if mount.get("Type") == "volume" and not mount.get("Source") and mounted is not None:
            mounts[number] = mounted
    declared = {normpath(str(bind).split(":")[1]) for bind in host.get("Binds") or []}
    declared |= {
        normpath(str(place)) for place in (*(mount.get("Target") for mount in mounts), *(host.get("Tmpfs") or {}))
    }
    requested = {normpath(place) for place in (*image_volumes, *(old.body.get("Volumes") or {}))}
    host["Mounts"] = [*mounts, *(present[place] for place in sorted(requested - declared) if place in present)]
    return ContainerSpec(name=spec.name, body=body, networks=spec.networks)


def _mounted(spec: ContainerSpec) -> dict[str, dict[str, Any]]:
    """The mounts of a container's spec by path, except tmpfs. Docker puts anonymous volumes into `Mounts`, Podman and
    Compose 1 into `Binds`."""
    host = spec.body.get("HostConfig") or {}
    by_target = {
        normpath(str(mount["Target"])): dict(mount)
        for mount in host.get("Mounts") or []
        if mount.get("Type") in ("volume", "bind") and mount.get("Source")
    }
    for bind in host.get("Binds") or []:
        source, place, options = (*str(bind).split(":"), "")[:3]
        kind = "bind" if source.startswith("/") else "volume"
        read_only = "ro" in options.split(",")
        by_target[normpath(place)] = {"Type": kind, "Source": source, "Target": normpath(place), "ReadOnly": read_only}
    return by_target


def with_image(spec: ContainerSpec, image: str) -> ContainerSpec:
    """The spec with another image."""
    return ContainerSpec(name=spec.name, body={**spec.body, "Image": image}, networks=spec.networks)


def with_labels(spec: ContainerSpec, labels: Mapping[str, str | None]) -> ContainerSpec:
    """The spec with these labels; those that are None are removed."""
    merged = {**(spec.body.get("Labels") or {}), **labels}
    body = {**spec.body, "Labels": {name: value for name, value in merged.items() if value is not None}}
    return ContainerSpec(name=spec.name, body=body, networks=spec.networks)


def with_token(spec: ContainerSpec, token: str) -> ContainerSpec:
    """The spec with the token of the apply that creates it."""
    body = dict(spec.body)
    body["Labels"] = {**(body.get("Labels") or {}), LABEL_APPLY: token}
    return ContainerSpec(name=spec.name, body=body, networks=spec.networks)


def _is_gpu_node(device: Mapping[str, Any]) -> bool:
    return str(device.get("PathInContainer") or "").startswith("/dev/nvidia")


def _asks_for_gpus(request: dict[str, Any]) -> bool:
    names = [str(name) for name in request.get("DeviceIDs") or []]
    return asks_for_gpus(request.get("Driver") or "", request.get("Capabilities") or [], names)
