"""The container's view of its GPUs."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.domain.errors import Refusal, UsageError
from gputui.domain.injection import CdiDevice, MechanismName
from gputui.planning.changes.container_view import container_view
from tests.builders import gpu

HOST = [gpu(index) for index in range(8)]


def view_of(*indices: int, sees_all: bool = False) -> tuple[str, str | None]:
    view = container_view(HOST, [HOST[index].uuid for index in indices], sees_all_devices=sees_all)
    return view.nvidia_visible_devices, view.cuda_visible_devices


@pytest.mark.parametrize(
    ("chosen", "inside"),
    [((0,), "0"), ((5,), "0"), ((5, 2), "1,0"), ((2, 0), "1,0"), ((5, 0, 2), "2,0,1"), ((0, 2, 5), "0,1,2")],
)
def test_indices_inside_are_ranks_in_pci_order(chosen: tuple[int, ...], inside: str) -> None:
    assert view_of(*chosen)[1] == inside


def test_pci_order_decides_where_the_index_of_the_driver_differs() -> None:
    first, second = gpu(0, pci_bus_id="00000000:F0:00.0"), gpu(1, pci_bus_id="00000000:01:00.0")
    assert container_view([first, second], [first.uuid, second.uuid]).cuda_visible_devices == "1,0"


def test_request_and_variable_name_the_same_gpus_by_uuid() -> None:
    view = container_view(HOST, [HOST[5].uuid, HOST[2].uuid])
    assert view.device_ids == tuple(view.nvidia_visible_devices.split(",")) == (HOST[5].uuid, HOST[2].uuid)
    assert view.expected_nodes == frozenset({"/dev/nvidia5", "/dev/nvidia2"})


def test_a_container_that_sees_all_devices_counts_among_all() -> None:
    assert view_of(5, 2, sees_all=True)[1] == "5,2"
    assert container_view(HOST, [HOST[1].uuid], sees_all_devices=True).expected_nodes is None


def test_without_gpus_the_image_is_kept_from_taking_all() -> None:
    assert view_of() == ("void", None)


def test_nodes_are_named_by_minor_number_which_need_not_be_the_index() -> None:
    assert container_view([gpu(0, minor=3)], [gpu(0).uuid]).expected_nodes == frozenset({"/dev/nvidia3"})
    assert container_view([gpu(0, minor=None)], [gpu(0).uuid]).expected_nodes is None


def test_impossible_choices_are_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        view_of(1, 1)
    with pytest.raises(UsageError, match="not on this host"):
        container_view(HOST, ["GPU-gone"])
    with pytest.raises(Refusal, match="MIG"):
        container_view([gpu(0, mig_enabled=True)], [gpu(0).uuid])


UUID_NAMES = [CdiDevice(f"nvidia.com/gpu={one.uuid}", (f"/dev/nvidia{one.minor}",)) for one in HOST]
INDEX_NAMES = [CdiDevice(f"nvidia.com/gpu={one.index}", (f"/dev/nvidia{one.minor}",)) for one in HOST]
ALL = CdiDevice("nvidia.com/gpu=all", tuple(f"/dev/nvidia{one.minor}" for one in HOST))


@pytest.mark.parametrize(
    ("mechanism", "names", "visible"),
    [
        ("nvidia", (HOST[5].uuid, HOST[2].uuid), f"{HOST[5].uuid},{HOST[2].uuid}"),
        ("cdi", ("nvidia.com/gpu=5", "nvidia.com/gpu=2"), "void"),
        ("runtime", (), f"{HOST[5].uuid},{HOST[2].uuid}"),
    ],
)
def test_each_mechanism_says_it_in_its_own_way(mechanism: MechanismName, names: tuple[str, ...], visible: str) -> None:
    view = container_view(HOST, [HOST[5].uuid, HOST[2].uuid], mechanism=mechanism, cdi_devices=[ALL, *INDEX_NAMES])
    assert (view.device_ids, view.nvidia_visible_devices, view.cuda_visible_devices) == (names, visible, "1,0")
    assert view.expected_nodes == frozenset({"/dev/nvidia5", "/dev/nvidia2"})


@pytest.mark.parametrize(
    ("devices", "name"),
    [
        ([*INDEX_NAMES, *UUID_NAMES], f"nvidia.com/gpu={HOST[3].uuid}"),
        (INDEX_NAMES, "nvidia.com/gpu=3"),
        ([CdiDevice("nvidia.com/gpu=3")], "nvidia.com/gpu=3"),
        # The specification is from before the GPUs were counted anew: its 3 is another GPU by now.
        ([CdiDevice("nvidia.com/gpu=3", ("/dev/nvidia1",)), CdiDevice("nvidia.com/gpu=1", ("/dev/nvidia3",))],
         "nvidia.com/gpu=1"),
        # Named by UUID, but with the node of another GPU.
        ([CdiDevice(f"nvidia.com/gpu={HOST[3].uuid}", ("/dev/nvidia4",))], None),
        # An instance of it is not the whole of it.
        ([CdiDevice("nvidia.com/gpu=3:0", ("/dev/nvidia3",))], None),
        ([CdiDevice("nvidia.com/gpu=gpu3", ("/dev/nvidia3",))], "nvidia.com/gpu=gpu3"),
        ([ALL], None),
        ([], None),
        (INDEX_NAMES[:3], None),
    ],
)  # fmt: skip
def test_a_uuid_becomes_the_cdi_device_that_stands_for_it_or_is_refused(
    devices: list[CdiDevice], name: str | None
) -> None:
    if name is None:
        with pytest.raises(Refusal, match="there is no CDI device for GPU 3"):
            container_view(HOST, [HOST[3].uuid], mechanism="cdi", cdi_devices=devices)
    else:
        assert container_view(HOST, [HOST[3].uuid], mechanism="cdi", cdi_devices=devices).device_ids == (name,)


PARENT = gpu(1, mig_enabled=True)
INSTANCES = [gpu(1, uuid=f"MIG-{place}", mig_index=place, parent_uuid=PARENT.uuid, minor=None) for place in range(2)]
CUT = [gpu(0), PARENT, *INSTANCES, gpu(2)]


def test_a_mig_instance_is_the_only_gpu_of_its_container() -> None:
    view = container_view(CUT, ["MIG-1"])
    assert (view.device_ids, view.cuda_visible_devices) == (("MIG-1",), "0")
    assert view.expected_nodes == frozenset({"/dev/nvidia1"}), "an instance is reached through its parent's node"
    for others in (["MIG-0", "MIG-1"], [gpu(0).uuid, "MIG-1"]):
        with pytest.raises(Refusal, match="cannot be given together"):
            container_view(CUT, others)
    named = [CdiDevice("nvidia.com/gpu=1:1", ("/dev/nvidia1",))]
    assert container_view(CUT, ["MIG-1"], mechanism="cdi", cdi_devices=named).device_ids == ("nvidia.com/gpu=1:1",)


def test_an_instance_that_was_made_after_the_specification_is_refused() -> None:
    before = [
        CdiDevice("nvidia.com/gpu=1:1", ("/dev/nvidia1",)),
        CdiDevice("nvidia.com/gpu=MIG-old", ("/dev/nvidia1",)),
    ]
    with pytest.raises(Refusal, match="there is no CDI device for GPU 1:1"):
        container_view(CUT, ["MIG-1"], mechanism="cdi", cdi_devices=before)


def test_a_container_that_sees_all_and_gets_none_is_kept_from_them() -> None:
    assert container_view(HOST, [], sees_all_devices=True).cuda_visible_devices == ""
    assert container_view(HOST, []).cuda_visible_devices is None


def test_a_gpu_that_fell_off_the_bus_is_not_counted() -> None:
    host = [*HOST[:3], replace(HOST[3], present=False), *HOST[4:]]
    assert container_view(host, [HOST[5].uuid], sees_all_devices=True).cuda_visible_devices == "4"


def test_where_gpus_are_cut_a_container_that_sees_all_is_told_uuids() -> None:
    view = container_view(CUT, [gpu(2).uuid, gpu(0).uuid], sees_all_devices=True)
    assert view.cuda_visible_devices == f"{gpu(2).uuid},{gpu(0).uuid}"
    assert container_view(CUT, ["MIG-0"], sees_all_devices=True).cuda_visible_devices == "MIG-0"


@given(st.permutations(range(8)), st.integers(1, 8), st.integers())
def test_every_permutation_leads_back_to_the_choice(order: list[int], count: int, seed: int) -> None:
    shuffled = list(HOST)
    random.Random(seed).shuffle(shuffled)
    chosen = [HOST[index].uuid for index in order[:count]]
    view = container_view(shuffled, chosen)
    inside = sorted((one for one in HOST if one.uuid in chosen), key=lambda one: one.pci_order)
    assert [inside[int(place)].uuid for place in (view.cuda_visible_devices or "").split(",")] == chosen
