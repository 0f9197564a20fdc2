"""The GPUs that a container requested, and those it really uses."""

from collections.abc import Iterable, Sequence

from gputui.domain.container import LABEL_GPUS, LABEL_ORDER, Container
from gputui.domain.gpu import GPU_NODE_PATH, Gpu, Reading, device_node
from gputui.domain.text import whole_number
from gputui.planning.changes.injection_choice import present_mechanism


def find_gpu(gpus: Sequence[Gpu], name: str) -> Gpu | None:
    """The GPU called `name`: index, `parent:instance`, UUID or an unambiguous prefix of one, CDI name, or device
    node."""
    name = name.strip().removeprefix("nvidia.com/gpu=").removeprefix("nvidia.com/mig=")
    if GPU_NODE_PATH.match(name):
        by_node = (gpu for gpu in gpus if gpu.parent_uuid is None and f"/dev/nvidia{gpu.minor}" == name)
        return next(by_node, None)
    exact = next((gpu for gpu in gpus if gpu.uuid == name), None) or next(
        (gpu for gpu in gpus if gpu.label == name), None
    )
    if exact is not None:
        return exact
    prefixed = [gpu for gpu in gpus if name.startswith(("GPU-", "MIG-")) and gpu.uuid.startswith(name)]
    return prefixed[0] if len(prefixed) == 1 and len(name) > 4 else None


def uses_gpus(container: Container) -> bool:
    """Whether the container was created to use GPUs, by any GPU injection method."""
    is_request = present_mechanism(container) is not None or has_ignored_request(container)
    return is_request or bool(container.device_nodes) or LABEL_GPUS in container.labels


PLAIN_RUNTIMES = ("runc", "crun", "io.containerd.runc.v2")
"""Runtimes that ignore NVIDIA_VISIBLE_DEVICES. Podman reports no runtime, and may have a hook that reads it."""


def has_ignored_request(container: Container) -> bool:
    """Whether it names GPUs in NVIDIA_VISIBLE_DEVICES but its runtime ignores that. CUDA images set it to `all`; only a
    person names single GPUs."""
    if container.gpu_request is not None or container.runtime not in PLAIN_RUNTIMES or LABEL_GPUS in container.labels:
        return False
    names = container.gpu_environment.get("NVIDIA_VISIBLE_DEVICES", "").split(",")
    return any(whole_number(name, least=0) is not None or name.startswith(("GPU-", "MIG-")) for name in names)


def requested_gpus(container: Container, gpus: Sequence[Gpu]) -> tuple[str, ...] | None:
    """The GPUs requested from the engine, in the order in which the container's process counts them; None if unknown.

    The device request decides which; our label, else a CUDA_VISIBLE_DEVICES of plain indices, decides the order. A GPU
    that no longer exists keeps the ID it was requested by.
    """
    ids = _requested_ids(container, gpus)
    if ids is None:
        return None
    requested = dict.fromkeys(ids)
    order_of = {gpu.uuid: gpu.pci_order for gpu in gpus if gpu.uuid in requested}
    ranked = sorted(requested, key=lambda uuid: order_of.get(uuid, ("~", 0, 0)))
    label_uuids = [uuid for uuid in container.labels.get(LABEL_GPUS, "").split(",") if uuid]
    if set(label_uuids) == set(ranked):
        return tuple(label_uuids)
    order = container.labels.get(LABEL_ORDER) or container.gpu_environment.get("CUDA_VISIBLE_DEVICES", "")
    places = [place for part in order.split(",") if (place := whole_number(part)) is not None]
    if sorted(places) == list(range(len(ranked))):
        return tuple(ranked[place] for place in places)
    return tuple(ranked)


def _requested_ids(container: Container, gpus: Sequence[Gpu]) -> list[str] | None:
    request = container.gpu_request
    if request is not None:
        if request.device_ids:
            return _resolve(request.device_ids, gpus)
        # For a count, the daemon takes the first GPUs by index (`countToDevices` in moby's daemon/nvidia_linux.go).
        by_index = sorted((gpu for gpu in gpus if gpu.parent_uuid is None), key=lambda gpu: gpu.index)
        first_gpus = by_index if request.count == -1 else by_index[: max(0, request.count)]
        # A GPU split into MIG instances is passed whole; CUDA picks the instance.
        if request.count == -1:
            return _assignable(gpus)
        return [gpu.uuid for gpu in first_gpus] if all(gpu.assignable for gpu in first_gpus) else None
    if container.runtime == "nvidia":
        names = container.gpu_environment.get("NVIDIA_VISIBLE_DEVICES", "void")
        if names in ("", "void", "none"):
            return []
        return _resolve(names.split(","), gpus)
    # Podman does not report the request: infer it from the devices it added, or from our label before the first start.
    labelled = [uuid for uuid in container.labels.get(LABEL_GPUS, "").split(",") if uuid]
    if not container.device_nodes or _nodes_of(labelled, gpus) == set(container.device_nodes):
        return labelled
    minors = {f"/dev/nvidia{gpu.minor}": gpu.uuid for gpu in gpus if gpu.parent_uuid is None}
    return [minors.get(node, node) for node in container.device_nodes]


def _nodes_of(uuids: Sequence[str], gpus: Sequence[Gpu]) -> set[str]:
    by_uuid = {gpu.uuid: gpu for gpu in gpus}
    assigned = [by_uuid[uuid] for uuid in uuids if uuid in by_uuid]
    return {node for gpu in assigned if (node := device_node(gpu, by_uuid))}


def _assignable(gpus: Sequence[Gpu]) -> list[str]:
    return [gpu.uuid for gpu in gpus if gpu.assignable]


def _resolve(names: Iterable[str], gpus: Sequence[Gpu]) -> list[str]:
    uuids: list[str] = []
    for name in names:
        if name in ("all", "nvidia.com/gpu=all"):
            return _assignable(gpus)
        gpu = find_gpu(gpus, name)
        uuids.append(gpu.uuid if gpu else name)
    return uuids


def use_by_container(readings: Iterable[Reading]) -> dict[str, dict[str, int | None]]:
    """By container ID, the GPUs on which its processes were seen, with the MiB they hold there; None where an amount is
    unknown."""
    used: dict[str, dict[str, int | None]] = {}
    for reading in readings:
        for process in reading.processes or ():
            if process.container_id is None:
                continue
            usage = used.setdefault(process.container_id, {})
            usage[reading.gpu.uuid] = _sum(usage.get(reading.gpu.uuid, 0), process.memory_mib)
    return used


def _sum(total: int | None, addend: int | None) -> int | None:
    return None if total is None or addend is None else total + addend


def memory_on(container: Container, reading: Reading) -> int | None:
    """MiB that the container's processes hold on a GPU; None if it has none there or an amount is unknown."""
    amounts = [process.memory_mib for process in reading.processes or () if process.container_id == container.id]
    if not amounts or None in amounts:
        return None
    return sum(memory for memory in amounts if memory is not None)
