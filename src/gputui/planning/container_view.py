"""What a container is told of its GPUs: made here and nowhere else."""

from collections.abc import Sequence

from gputui.domain.errors import Refusal, UsageError
from gputui.domain.gpu import Gpu
from gputui.domain.plan import ContainerView


def container_view(host_gpus: Sequence[Gpu], chosen: Sequence[str], *, sees_all_devices: bool = False) -> ContainerView:
    """The view of a container that is given the GPUs `chosen` (UUIDs), in that order.

    The order of a device request only selects device nodes; inside, CUDA (with CUDA_DEVICE_ORDER=PCI_BUS_ID) counts
    them by PCI address. So CUDA_VISIBLE_DEVICES holds, in the chosen order, the rank of each among the GPUs that the
    container sees: host GPUs `[5,2]` are `1,0` inside. A container that sees all devices of the host (privileged, or
    /dev mounted) counts among all of them.

    Raises:
        UsageError: a GPU is chosen twice or does not exist.
        Refusal: a GPU cut into MIG instances is chosen as a whole.
    """
    by_uuid = {gpu.uuid: gpu for gpu in host_gpus}
    for uuid in chosen:
        if uuid not in by_uuid:
            raise UsageError(f"GPU {uuid} is not on this host", "choose one that `gputui gpus` lists")
        if not by_uuid[uuid].assignable:
            raise Refusal(f"GPU {by_uuid[uuid].label} is cut into MIG instances", "choose one of its instances")
    if len(set(chosen)) != len(chosen):
        raise UsageError("the same GPU is chosen twice for one service", "name each GPU once")
    if not chosen:
        return ContainerView(
            gpus=(),
            device_ids=(),
            nvidia_visible_devices="void",
            cuda_visible_devices=None,
            expected_nodes=None if sees_all_devices else frozenset(),
            sees_all_devices=sees_all_devices,
        )
    visible = [gpu for gpu in host_gpus if gpu.assignable] if sees_all_devices else [by_uuid[uuid] for uuid in chosen]
    ranks = {gpu.uuid: rank for rank, gpu in enumerate(sorted(visible, key=lambda gpu: gpu.pci_order))}
    minors = [by_uuid[uuid].minor for uuid in chosen]
    nodes = frozenset(f"/dev/nvidia{minor}" for minor in minors if minor is not None)
    return ContainerView(
        gpus=tuple(chosen),
        device_ids=tuple(chosen),
        nvidia_visible_devices=",".join(chosen),
        cuda_visible_devices=",".join(str(ranks[uuid]) for uuid in chosen),
        expected_nodes=None if sees_all_devices or None in minors else nodes,
        sees_all_devices=sees_all_devices,
    )
