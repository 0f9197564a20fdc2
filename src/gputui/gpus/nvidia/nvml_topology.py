"""How GPUs reach each other, as NVML tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pynvml

from gputui.domain.gpu import Gpu
from gputui.domain.gpu_details import GpuLink, LinkKind
from gputui.domain.text import clean
from gputui.gpus.topology import SWITCH

# nvml.h, nvmlGpuTopologyLevel_t; the names are those of `nvidia-smi topo -m`. Two GPUs of one board count as PIX.
_LEVELS: dict[int, LinkKind] = {0: "PIX", 10: "PIX", 20: "PXB", 30: "PHB", 40: "NODE", 50: "SYS"}


@dataclass(frozen=True, slots=True)
class NvLinks:
    """A GPU's NVLinks: how many it has, how many are up, and the ends that these tell, each a UUID or `SWITCH`."""

    count: int
    up: int
    ends: tuple[str, ...]


def nvlinks(handle: Any, uuid_by_bus: Mapping[str | None, str]) -> NvLinks:
    """The NVLinks of a GPU; none where it has none or does not tell."""
    count, up, ends = 0, 0, []
    for link in range(pynvml.NVML_NVLINK_MAX_LINKS):
        try:
            state = pynvml.nvmlDeviceGetNvLinkState(handle, link)
        except pynvml.NVMLError:
            break  # no NVLink, or none with that number
        count += 1
        if state != pynvml.NVML_FEATURE_ENABLED:
            continue
        up += 1
        try:
            if pynvml.nvmlDeviceGetNvLinkRemoteDeviceType(handle, link) == pynvml.NVML_NVLINK_DEVICE_TYPE_SWITCH:
                ends.append(SWITCH)
                continue
            bus = clean(str(pynvml.nvmlDeviceGetNvLinkRemotePciInfo(handle, link).busId), 32)
        except pynvml.NVMLError:
            continue  # it is up, and does not tell where it ends
        if bus in uuid_by_bus:
            ends.append(uuid_by_bus[bus])
    return NvLinks(count, up, tuple(ends))


def links(gpus: Sequence[Gpu], handles: Mapping[str, Any], nvlinks_of: Mapping[str, NvLinks]) -> tuple[GpuLink, ...]:
    """The link of every pair of GPUs; a pair of which nothing is known has none."""
    found = []
    for place, one in enumerate(gpus):
        for other in gpus[place + 1 :]:
            link = _link(one.uuid, other.uuid, handles, nvlinks_of)
            if link is not None:
                found.append(link)
    return tuple(found)


def _link(one: str, other: str, handles: Mapping[str, Any], nvlinks_of: Mapping[str, NvLinks]) -> GpuLink | None:
    mine, theirs = nvlinks_of.get(one), nvlinks_of.get(other)
    if mine and theirs:
        direct = mine.ends.count(other)
        switched = min(mine.ends.count(SWITCH), theirs.ends.count(SWITCH))
        if direct or switched:
            return GpuLink(one=one, other=other, kind="NVLink", nvlinks=direct or switched)
    if one not in handles or other not in handles:
        return None
    try:
        level = int(pynvml.nvmlDeviceGetTopologyCommonAncestor(handles[one], handles[other]))
    except pynvml.NVMLError:
        return None
    kind = _LEVELS.get(level)
    return GpuLink(one=one, other=other, kind=kind) if kind else None
