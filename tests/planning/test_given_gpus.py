"""Which GPUs a container was asked to get."""

from typing import Any

import pytest

from gputui.domain.container import DeviceRequest
from gputui.planning.given_gpus import find_gpu, requested_gpus, uses_gpus
from tests.builders import container, gpu

HOST = [gpu(index) for index in range(4)]
UUIDS = [one.uuid for one in HOST]


def asked(*ids: str, count: int = 0, **values: Any) -> tuple[str, ...] | None:
    request = DeviceRequest(device_ids=ids, count=count, capabilities=(("gpu",),))
    return requested_gpus(container("one", device_requests=(request,), **values), HOST)


def test_ids_may_be_indices_uuids_or_cdi_names() -> None:
    assert asked("2", UUIDS[0], "nvidia.com/gpu=1") == (UUIDS[0], UUIDS[1], UUIDS[2])


def test_all_is_all_and_another_count_is_the_first_ones() -> None:
    assert asked(count=-1) == tuple(UUIDS)
    assert asked(count=2) == tuple(UUIDS[:2])


def test_the_order_is_that_of_the_process() -> None:
    assert asked("0", "2", gpu_environment={"CUDA_VISIBLE_DEVICES": "1,0"}) == (UUIDS[2], UUIDS[0])
    ours = {"io.gputui.gpus": f"{UUIDS[2]},{UUIDS[0]}"}
    assert asked("0", "2", labels=ours) == (UUIDS[2], UUIDS[0])


def test_a_label_that_contradicts_the_request_is_not_believed() -> None:
    assert asked("3", labels={"io.gputui.gpus": UUIDS[0]}) == (UUIDS[3],)


def test_a_gpu_that_is_gone_keeps_its_name() -> None:
    assert asked("GPU-gone") == ("GPU-gone",)


def test_the_nvidia_runtime_gives_what_the_variable_says() -> None:
    by_runtime = container("one", runtime="nvidia", gpu_environment={"NVIDIA_VISIBLE_DEVICES": "1,3"})
    assert uses_gpus(by_runtime)
    assert requested_gpus(by_runtime, HOST) == (UUIDS[1], UUIDS[3])
    assert not uses_gpus(container("one", gpu_environment={"NVIDIA_VISIBLE_DEVICES": "all"}))


@pytest.mark.parametrize(("name", "index"), [("2", 2), (UUIDS[3], 3), ("GPU-00000001", 1), ("9", None), ("GPU-", None)])
def test_a_person_names_a_gpu_by_index_or_by_the_start_of_its_uuid(name: str, index: int | None) -> None:
    assert find_gpu(HOST, name) == (None if index is None else HOST[index])
