"""A container's spec with another view of its GPUs, another budget, or changed arguments; all else as it was."""

import copy
from collections.abc import Sequence
from typing import Any

from gputui.domain.container import (
    LABEL_BUDGET,
    LABEL_EDITS,
    LABEL_GPUS,
    LABEL_OPERATOR,
    LABEL_ORDER,
    LABEL_REVISION,
    ContainerSpec,
)
from gputui.domain.plan import ContainerView
from gputui.domain.service import Edit


def with_gpus(spec: ContainerSpec, view: ContainerView, *, revision: int, operator: str) -> ContainerSpec:
    """The spec of a container that gets the GPUs of `view`.

    One device request by UUID replaces the old requests for GPUs and keeps the first one's driver, capabilities and
    options; requests for other devices stay. The variables say the same as the request: the daemon appends
    NVIDIA_VISIBLE_DEVICES, and a process sees the last one.
    """
    body = copy.deepcopy(dict(spec.body))
    host = body.setdefault("HostConfig", {})
    requests = list(host.get("DeviceRequests") or [])
    old: dict[str, Any] = next((one for one in requests if _asks_for_gpus(one)), {})
    others = [one for one in requests if not _asks_for_gpus(one)]
    if view.device_ids:
        new = {
            "Driver": old.get("Driver") or "",
            "Count": 0,
            "DeviceIDs": list(view.device_ids),
            "Capabilities": old.get("Capabilities") or [["gpu"]],
            "Options": old.get("Options") or {},
        }
        host["DeviceRequests"] = [*others, new]
    else:
        host["DeviceRequests"] = others
    variables = {
        "NVIDIA_VISIBLE_DEVICES": view.nvidia_visible_devices,
        "CUDA_VISIBLE_DEVICES": view.cuda_visible_devices,
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID" if view.device_ids else None,
    }
    body["Env"] = with_variables(body.get("Env") or [], variables)
    body["Labels"] = {
        **(body.get("Labels") or {}),
        LABEL_GPUS: ",".join(view.gpus),
        LABEL_ORDER: view.cuda_visible_devices or "",
        LABEL_REVISION: str(revision),
        LABEL_OPERATOR: operator,
    }
    return ContainerSpec(name=spec.name, body=body, networks=spec.networks)


def with_edits(spec: ContainerSpec, *, budget_mib: int | None, budget_env: str, edits: Sequence[Edit]) -> ContainerSpec:
    """The spec with a VRAM budget (GiB with one decimal, in the variable `budget_env`) and changed arguments."""
    body = copy.deepcopy(dict(spec.body))
    labels = dict(body.get("Labels") or {})
    if budget_mib is not None:
        body["Env"] = with_variables(body.get("Env") or [], {budget_env: gib_down(budget_mib)})
        labels[LABEL_BUDGET] = str(budget_mib)
    elif LABEL_BUDGET in labels:
        body["Env"] = with_variables(body.get("Env") or [], {budget_env: None})
        del labels[LABEL_BUDGET]
    if edits:
        command = list(body.get("Cmd") or [])
        for edit in edits:
            command = with_argument(command, edit.argument, edit.value)
        body["Cmd"] = command
        labels[LABEL_EDITS] = edits_label(edits)
    else:
        labels.pop(LABEL_EDITS, None)
    body["Labels"] = labels
    return ContainerSpec(name=spec.name, body=body, networks=spec.networks)


def gib_down(mib: int) -> str:
    """A budget as its service reads it: GiB, one decimal, never more than it is."""
    return f"{max(1, mib * 10 // 1024) / 10:.1f}"


def edits_label(edits: Sequence[Edit]) -> str:
    """The edits as a label remembers them."""
    return " ".join(f"{edit.argument}={'' if edit.value is None else edit.value}" for edit in edits)


def with_variables(environment: Sequence[str], changes: dict[str, str | None]) -> list[str]:
    """`NAME=value` lines with these variables set, or taken away where the value is None."""
    kept = [line for line in environment if line.partition("=")[0] not in changes]
    return kept + [f"{name}={value}" for name, value in changes.items() if value is not None]


def with_argument(command: Sequence[str], argument: str, value: str | None) -> list[str]:
    """A command line with one option set: where it stands, in the form it has, else at the end.

    `value` None takes the option away; an empty one sets a switch.
    """
    result: list[str] = []
    seen = False
    place = 0
    while place < len(command):
        word = command[place]
        place += 1
        if word == argument:
            takes_value = place < len(command) and not command[place].startswith("-") and value != ""
            place += 1 if takes_value else 0
            result += [] if value is None else [argument, value] if value else [argument]
            seen = True
        elif word.startswith(argument + "="):
            result += [] if value is None else [f"{argument}={value}" if value else argument]
            seen = True
        else:
            result.append(word)
    if not seen and value is not None:
        result += [argument, value] if value else [argument]
    return result


def _asks_for_gpus(request: dict[str, Any]) -> bool:
    groups = request.get("Capabilities") or []
    names = request.get("DeviceIDs") or []
    return any("gpu" in group for group in groups) or any(str(name).startswith("nvidia.com/") for name in names)
