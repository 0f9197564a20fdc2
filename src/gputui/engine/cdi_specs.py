"""Reads the Container Device Interface specifications of this machine: the devices that an engine can inject."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml
from pydantic import BaseModel, Field, ValidationError

from gputui.domain.injection import CDI_KIND, CdiDevice
from gputui.domain.plain_yaml import FAULTS, load_yaml
from gputui.domain.text import clean

_SIZE_LIMIT = 8 * 2**20
_GPU_NODE = re.compile(r"^/dev/nvidia\d+$")


class _Node(BaseModel):
    path: str


class _Edits(BaseModel):
    nodes: list[_Node] = Field(default=[], alias="deviceNodes")


class _Device(BaseModel):
    name: str | int
    edits: _Edits = Field(default=_Edits(), alias="containerEdits")


class _Spec(BaseModel):
    kind: str
    devices: list[_Device] = []


def read_devices(folders: Sequence[str]) -> tuple[CdiDevice, ...] | None:
    """The GPUs described by the specifications in these directories; None if no directory can be read."""
    devices: dict[str, CdiDevice] = {}
    has_folder = False
    for folder in folders:
        try:
            paths = sorted(Path(folder).iterdir())
        except (OSError, ValueError):
            continue
        has_folder = True
        for path in paths:
            devices |= {device.name: device for device in _devices_of(path)}
    return tuple(devices.values()) if has_folder else None


def _devices_of(path: Path) -> Iterator[CdiDevice]:
    if path.suffix not in (".yaml", ".yml", ".json"):
        return
    try:
        if path.stat().st_size > _SIZE_LIMIT:
            return
        # JSON is YAML, and the C loader is ten times faster for the long files of a server with eight GPUs.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        spec = _Spec.model_validate(load_yaml(path.read_text(encoding="utf-8"), loader))
    except (OSError, ValidationError, *FAULTS):
        return  # the engine skips unreadable files too
    if spec.kind != CDI_KIND:
        return
    for device in spec.devices:
        nodes = tuple(clean(node.path, 200) for node in device.edits.nodes if _GPU_NODE.match(node.path))
        yield CdiDevice(f"{CDI_KIND}={clean(str(device.name), 120)}", nodes)
