"""Generates the two files beside a Compose file: the assignments for people, the override for `docker compose`."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from gputui.domain.assignment import Assignment, Assignments
from gputui.domain.compose import OVERRIDE_NAME, ComposeProject
from gputui.domain.gpu import Gpu
from gputui.domain.plan import ContainerView
from gputui.domain.service import distinct_names
from gputui.domain.text import mask_secret

ASSIGNMENTS_NAME = "gpu-assignments.yml"

_HEAD = "# Written by gputui, revision {revision}; edits here are lost at the next save.\n"


def assignments_text(assignments: Assignments, gpus: Sequence[Gpu]) -> str:
    """`gpu-assignments.yml`: the assignments in readable form."""
    labels = {gpu.uuid: gpu for gpu in gpus}
    services = {}
    names = distinct_names([assignment.key for assignment in assignments.items])
    for assignment in assignments.items:
        item_gpus = [labels.get(uuid) for uuid in assignment.gpus]
        services[names[assignment.key]] = {
            "gpus": [gpu.label if gpu else uuid for gpu, uuid in zip(item_gpus, assignment.gpus, strict=True)],
            "uuids": list(assignment.gpus),
            "enabled": assignment.enabled,
            "vram_budget_mib": assignment.budget_mib,
            "edits": {edit.argument: mask_secret(edit.argument, edit.value or "") for edit in assignment.edits},
            "adopted": assignment.adopted,
            **({} if assignment.priority is None else {"priority": assignment.priority}),
        }
    body = {
        "revision": assignments.revision,
        "generated_at": assignments.saved_at,
        "author": assignments.author,
        "strategy": assignments.strategy,
        "assignments": services,
    }
    return _HEAD.format(revision=assignments.revision) + yaml.safe_dump(body, sort_keys=False)


class _Override(list[object]):
    """A list that replaces those of earlier files; Compose would merge it with them."""


class _Reset:
    """Removes the key from earlier files."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


_Dumper.add_representer(_Override, lambda dumper, data: dumper.represent_sequence("!override", list(data)))
_Dumper.add_representer(_Reset, lambda dumper, _: dumper.represent_scalar("!reset", "null"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Overridden:
    """The values that replace those of a service's file: its GPU view, further driver capabilities and options, the
    variables of its budget, and its full command if arguments were edited."""

    item: Assignment
    view: ContainerView
    variables: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] | None = None
    capabilities: Sequence[str] = ()
    options: Mapping[str, str] = field(default_factory=dict)


def override_text(assignments: Assignments, project: ComposeProject, overridden: Sequence[Overridden]) -> str:
    """`docker-compose.gpu-override.yml`: makes `docker compose` assign the same GPUs without gputui."""
    services: dict[str, object] = {}
    for override in overridden:
        item, view = override.item, override.view
        if item.key.project != project.name or project.service(item.key.name) is None:
            continue
        variables = {"NVIDIA_VISIBLE_DEVICES": view.nvidia_visible_devices}
        if view.gpus:
            variables["CUDA_VISIBLE_DEVICES"] = view.cuda_visible_devices or ""
            variables["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        variables |= override.variables
        driver = "cdi" if view.mechanism == "cdi" else "nvidia"
        request: dict[str, object] = {"driver": driver, "device_ids": list(view.device_ids)}
        request["capabilities"] = ["gpu", *override.capabilities]
        if override.options:
            request["options"] = dict(override.options)
        devices = _Override([request] if view.device_ids else [])
        body: dict[str, object] = {
            "gpus": _Reset(),
            "deploy": {"resources": {"reservations": {"devices": devices}}},
            "environment": variables,
        }
        if view.mechanism == "runtime":
            body["runtime"] = "nvidia"
        is_needed = any(item.key.name in service.depends_on for service in project.services)
        if item.adopted and not item.enabled and not is_needed:
            body["profiles"] = ["gputui-disabled"]  # or `up` would start it
        declared = project.service(item.key.name)
        if item.adopted and item.enabled and declared is not None and declared.replicas == 0:
            body["scale"] = 1
            body["deploy"] = {"replicas": 1, "resources": {"reservations": {"devices": devices}}}
        if override.command is not None:
            # Compose interpolates variables after a single dollar sign.
            body["command"] = [word.replace("$", "$$") for word in override.command]
        services[item.key.name] = body
    # Naming the override means that the files which Compose finds by itself must be named too.
    names = " ".join(f"-f {_from(project.directory, file)}" for file in project.files)
    head = _HEAD.format(revision=assignments.revision)
    head += f"# docker compose {names} -f {OVERRIDE_NAME} up -d\n"
    return head + yaml.dump({"services": services}, Dumper=_Dumper, sort_keys=False)


def _from(directory: str, file: str) -> str:
    """The path of a file relative to the project directory, quoted for a shell."""
    path = Path(file)
    return shlex.quote(str(path.relative_to(directory)) if path.is_relative_to(directory) else file)
