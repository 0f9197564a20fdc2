"""How a container sees its GPUs; computed only here."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gputui.domain.errors import Refusal, UsageError
from gputui.domain.gpu import Gpu, device_node
from gputui.domain.injection import CDI_KIND, CdiDevice, HostAccess, MechanismName
from gputui.domain.plan import ContainerView
from gputui.domain.service import Service
from gputui.planning.changes.injection_choice import choose

NO_GPU = "void"
"""As NVIDIA_VISIBLE_DEVICES: no GPU and no driver files, whatever the image says (NVIDIA Container Toolkit,
"Specialized Configurations with Docker")."""


def view_of(service: Service, host_gpus: Sequence[Gpu], chosen: Sequence[str], access: HostAccess) -> ContainerView:
    """The view of the service's next container, by the GPU injection method chosen for it.

    Raises:
        UsageError, Refusal: as `container_view`; or no GPU injection method can be used.
    """
    if not chosen:
        view = container_view(host_gpus, (), sees_all_devices=service.sees_all_devices)
        as_written = not service.adopted and service.container is None
        return replace(view, expected_nodes=None, as_written=True) if as_written else view
    return container_view(
        host_gpus,
        chosen,
        mechanism=choose(access, service).mechanism,
        cdi_devices=access.capabilities.cdi_devices or (),
        sees_all_devices=service.sees_all_devices,
    )


def container_view(
    host_gpus: Sequence[Gpu],
    chosen: Sequence[str],
    *,
    mechanism: MechanismName = "nvidia",
    cdi_devices: Sequence[CdiDevice] = (),
    sees_all_devices: bool = False,
) -> ContainerView:
    """The view of a container with the GPUs `chosen` (UUIDs), in that order.

    The order of a device request only selects device nodes; inside, CUDA (with CUDA_DEVICE_ORDER=PCI_BUS_ID) counts
    them by PCI address. So CUDA_VISIBLE_DEVICES holds, in the chosen order, the rank of each among the GPUs that the
    container sees: host GPUs `[5,2]` are `1,0` inside. A container that sees all devices of the host (privileged, or
    /dev mounted) counts among all of them; if some of those are split into MIG instances, CUDA counts no more than one
    instance, so only UUIDs are unambiguous (NVIDIA MIG User Guide, "CUDA Visible Devices").

    A CDI request names devices of its own specification, whose edits set NVIDIA_VISIBLE_DEVICES to `void` inside; so
    the container gets that value from the start.

    Raises:
        UsageError: a GPU is chosen twice or does not exist.
        Refusal: a GPU split into MIG instances is chosen as a whole, an instance beside another GPU, or one without a
            CDI device.
    """
    by_uuid = {gpu.uuid: gpu for gpu in host_gpus}
    for uuid in chosen:
        if uuid not in by_uuid:
            raise UsageError(f"GPU {uuid} is not on this host", "choose one that `gputui gpus` lists")
        if not by_uuid[uuid].assignable:
            raise Refusal(f"GPU {by_uuid[uuid].label} is divided into MIG instances", "choose one of its instances")
    if len(set(chosen)) != len(chosen):
        raise UsageError("the same GPU is chosen twice for one service", "name each GPU once")
    if not chosen:
        return ContainerView(
            gpus=(),
            device_ids=(),
            mechanism=None,
            nvidia_visible_devices=NO_GPU,
            # It sees all GPUs: only this hides them.
            cuda_visible_devices="" if sees_all_devices else None,
            expected_nodes=None if sees_all_devices else frozenset(),
            sees_all_devices=sees_all_devices,
        )
    assigned = [by_uuid[uuid] for uuid in chosen]
    check_instances(assigned)
    device_ids = {
        "nvidia": tuple(chosen),
        "cdi": tuple(cdi_name(gpu, by_uuid, cdi_devices) for gpu in assigned) if mechanism == "cdi" else (),
        "runtime": (),
    }[mechanism]
    nodes = [device_node(gpu, by_uuid) for gpu in assigned]
    known_nodes = frozenset(node for node in nodes if node is not None)
    return ContainerView(
        gpus=tuple(chosen),
        device_ids=device_ids,
        mechanism=mechanism,
        nvidia_visible_devices=NO_GPU if mechanism == "cdi" else ",".join(chosen),
        cuda_visible_devices=_order(assigned, host_gpus, sees_all_devices=sees_all_devices),
        expected_nodes=None if sees_all_devices or None in nodes else known_nodes,
        sees_all_devices=sees_all_devices,
    )


def check_instances(assigned: Sequence[Gpu]) -> None:
    """A MIG instance must be assigned alone.

    Raises:
        Refusal: it is assigned beside another GPU.
    """
    instance = next((gpu for gpu in assigned if gpu.parent_uuid is not None), None)
    if instance is not None and len(assigned) > 1:
        raise Refusal(
            f"the MIG instance {instance.label} cannot be given together with another GPU: CUDA uses one instance only",
            "assign one instance, or whole GPUs",
        )


def _order(assigned: Sequence[Gpu], host_gpus: Sequence[Gpu], *, sees_all_devices: bool) -> str:
    if not sees_all_devices:
        ranks = _ranks(assigned)
    elif any(gpu.mig_enabled for gpu in host_gpus):
        return ",".join(gpu.uuid for gpu in assigned)
    else:
        ranks = _ranks([gpu for gpu in host_gpus if gpu.present or gpu in assigned])
    return ",".join(str(ranks[gpu.uuid]) for gpu in assigned)


def _ranks(gpus: Sequence[Gpu]) -> dict[str, int]:
    return {gpu.uuid: rank for rank, gpu in enumerate(sorted(gpus, key=lambda gpu: gpu.pci_order))}


def cdi_name(gpu: Gpu, by_uuid: Mapping[str, Gpu], devices: Sequence[CdiDevice]) -> str:
    """The CDI device of a GPU: by its UUID, else by its index, else by its device node alone. A device whose node is
    not the GPU's belongs to another GPU now: the specification is outdated.

    Raises:
        Refusal: there is none.
    """
    node = device_node(gpu, by_uuid)
    fitting = [device for device in devices if device.nodes is None or node is None or device.nodes == (node,)]
    names = {device.name for device in fitting}
    if f"{CDI_KIND}={gpu.uuid}" in names:
        return f"{CDI_KIND}={gpu.uuid}"
    if gpu.parent_uuid is not None:
        # All instances have their parent's node, so only names distinguish them. If some are named by UUID, an instance
        # that is not was created after the specification.
        by_place = not any(device.name.startswith(f"{CDI_KIND}=MIG-") for device in devices)
        if by_place and f"{CDI_KIND}={gpu.label}" in names:
            return f"{CDI_KIND}={gpu.label}"
    else:
        whole_gpus = [device for device in fitting if ":" not in device.name and f"{CDI_KIND}=MIG-" not in device.name]
        by_node = [device.name for device in whole_gpus if node is not None and device.nodes == (node,)]
        for name in (f"{CDI_KIND}={gpu.label}", *by_node):
            if name in names:
                return name
    raise Refusal(
        f"there is no CDI device for GPU {gpu.label} ({gpu.uuid})",
        "generate the specification again: `nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`",
    )
