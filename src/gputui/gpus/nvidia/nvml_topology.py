"""The connections between GPUs, from NVML."""

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
    """A GPU's NVLinks: their number, how many are up, and the remote ends of those, each a UUID or `SWITCH`."""

    count: int
    up: int
    ends: tuple[str, ...]


def nvlinks(handle: Any, uuid_by_bus: Mapping[str | None, str]) -> NvLinks:
    """The NVLinks of a GPU; none if it has none or does not report them."""
    count, up, ends = 0, 0, []
    for link in range(pynvml.NVML_NVLINK_MAX_LINKS):
        try:
            state = pynvml.nvmlDeviceGetNvLinkState(handle, link)
        except pynvml.NVMLError:
            break  # no NVLink, or no link with that number
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
            continue  # it is up, but its remote end is unknown
        if bus in uuid_by_bus:
            ends.append(uuid_by_bus[bus])
    return NvLinks(count, up, tuple(ends))


def links(gpus: Sequence[Gpu], handles: Mapping[str, Any], nvlinks_of: Mapping[str, NvLinks]) -> tuple[GpuLink, ...]:
    """The link of every pair of GPUs; pairs without a known link are omitted."""
    gpu_links = []
    for index, gpu in enumerate(gpus):
        for peer in gpus[index + 1 :]:
            link = _link(gpu.uuid, peer.uuid, handles, nvlinks_of)
            if link is not None:
                gpu_links.append(link)
    return tuple(gpu_links)


def _link(uuid: str, peer_uuid: str, handles: Mapping[str, Any], nvlinks_of: Mapping[str, NvLinks]) -> GpuLink | None:
    gpu_nvlinks, peer_nvlinks = nvlinks_of.get(uuid), nvlinks_of.get(peer_uuid)
    if gpu_nvlinks and peer_nvlinks:
        direct = gpu_nvlinks.ends.count(peer_uuid)
        switched = min(gpu_nvlinks.ends.count(SWITCH), peer_nvlinks.ends.count(SWITCH))
        if direct or switched:
            return GpuLink(gpu=uuid, peer=peer_uuid, kind="NVLink", nvlinks=direct or switched)
    if uuid not in handles or peer_uuid not in handles:
        return None
    try:
        level = int(pynvml.nvmlDeviceGetTopologyCommonAncestor(handles[uuid], handles[peer_uuid]))
    except pynvml.NVMLError:
        return None
    kind = _LEVELS.get(level)
    return GpuLink(gpu=uuid, peer=peer_uuid, kind=kind) if kind else None
