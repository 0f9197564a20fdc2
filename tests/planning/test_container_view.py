"""The container's view of its GPUs."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.domain.errors import Refusal, UsageError
from gputui.planning.container_view import container_view
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


@given(st.permutations(range(8)), st.integers(1, 8), st.integers())
def test_every_permutation_leads_back_to_the_choice(order: list[int], count: int, seed: int) -> None:
    shuffled = list(HOST)
    random.Random(seed).shuffle(shuffled)
    chosen = [HOST[index].uuid for index in order[:count]]
    view = container_view(shuffled, chosen)
    inside = sorted((one for one in HOST if one.uuid in chosen), key=lambda one: one.pci_order)
    assert [inside[int(place)].uuid for place in (view.cuda_visible_devices or "").split(",")] == chosen
