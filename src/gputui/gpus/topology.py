"""Groups GPUs with fast connections to each other."""

from collections.abc import Mapping
from pathlib import Path

SWITCH = "switch"
"""The link target of GPUs behind an NVSwitch, which all reach each other."""


def islands(links: Mapping[str, frozenset[str]], numa_nodes: Mapping[str, int | None]) -> dict[str, str]:
    """The island of each GPU: GPUs connected by NVLink, directly or through others, else those of one NUMA node. A GPU
    for which neither is known has none.

    Args:
        links: by UUID, the UUIDs at the remote ends of its NVLinks, or `SWITCH`.
        numa_nodes: by UUID, the NUMA node of its PCI slot.
    """
    nvlink_islands: dict[str, str] = {}
    number = 0
    for uuid in links:
        if uuid in nvlink_islands or not links[uuid]:
            continue
        members, queue = {uuid}, [uuid]
        while queue:
            current = queue.pop()
            for peer in links:
                is_linked = (
                    peer in links[current] or current in links[peer] or bool(links[current] & links[peer] & {SWITCH})
                )
                if is_linked and peer not in members:
                    members.add(peer)
                    queue.append(peer)
        nvlink_islands |= dict.fromkeys(members, f"NVLink {number}")
        number += 1
    nodes = {uuid: f"NUMA {node}" for uuid, node in numa_nodes.items() if node is not None}
    return {**nodes, **nvlink_islands}


def numa_node(pci_bus_id: str | None) -> int | None:
    """The NUMA node of a PCI device according to Linux (`numa_node` in sysfs; -1 is unknown)."""
    if not pci_bus_id:
        return None
    # NVML writes the domain with eight digits, Linux with four.
    address = pci_bus_id.lower()[-12:]
    try:
        node = int(Path("/sys/bus/pci/devices", address, "numa_node").read_text())
    except (OSError, ValueError):
        return None
    return node if node >= 0 else None
