"""Whether a service really was moved: asked of the engine and the kernel, never of gputui."""

from tests.lab.conftest import Lab
from tests.lab.driver import uuid_of


def assert_moved(lab: Lab, name: str, target: int, before: dict[str, str]) -> None:
    """It has this GPU and no other, knows so, uses it, and every other container is the one that was there before."""
    (request,) = lab.inspect(name)["HostConfig"]["DeviceRequests"]
    assert (request["DeviceIDs"], request["Count"]) == ([uuid_of(target)], 0)
    inside = lab.process_environment(name)
    assert (inside["NVIDIA_VISIBLE_DEVICES"], inside["CUDA_VISIBLE_DEVICES"]) == (uuid_of(target), "0")
    assert inside["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert lab.nodes(name) == {f"nvidia{target}"}
    lab.loaded(name)
    assert lab.gpus_of(name) == {str(target)}
    after = lab.names()
    assert after.keys() == before.keys()
    assert {other for other in before if before[other] != after[other]} == {name}
