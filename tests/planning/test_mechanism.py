"""By which mechanism a container gets its GPUs."""

from collections.abc import Mapping
from typing import Any

import pytest

from gputui.domain.container import DeviceRequest
from gputui.domain.errors import Refusal
from gputui.domain.injection import Capabilities, CdiDevice, HostAccess, MechanismName
from gputui.planning.changes.injection_choice import choose, default_choice, present_mechanism, with_evidence
from tests.builders import container, gpu, service

CDI = (CdiDevice("nvidia.com/gpu=0"),)
PODMAN: Mapping[str, Any] = {"nvidia_driver": False, "cdi": True, "reports_requests": False}


def chosen(asked: MechanismName | None = None, **can: Any) -> str:
    return default_choice(HostAccess(capabilities=Capabilities(**can), asked=asked)).mechanism


@pytest.mark.parametrize(
    ("can", "mechanism"),
    [
        ({}, "nvidia"),
        ({"nvidia_driver": True}, "nvidia"),
        ({"nvidia_driver": True, "cdi": True, "cdi_devices": CDI}, "nvidia"),
        ({"cdi": True, "cdi_devices": CDI}, "cdi"),
        ({"nvidia_driver": False, "cdi": True, "cdi_devices": CDI, "runtimes": ("nvidia",)}, "cdi"),
        ({"nvidia_driver": False, "runtimes": ("nvidia", "runc")}, "runtime"),
        ({"runtimes": ("nvidia", "runc")}, "runtime"),
        ({"cdi": True, "cdi_devices": ()}, "nvidia"),
        ({"nvidia_driver": True, "variable_counts": False, "cdi": True, "cdi_devices": CDI}, "cdi"),
        ({**PODMAN, "cdi_devices": CDI}, "cdi"),
    ],
)
def test_what_the_engine_is_known_to_do_comes_before_what_nothing_is_known_against(
    can: dict[str, Any], mechanism: str
) -> None:
    assert chosen(**can) == mechanism


@pytest.mark.parametrize(
    ("can", "what"),
    [
        ({"nvidia_driver": False}, "no device driver for NVIDIA GPUs"),
        ({"too_old": "Podman 5.4", "cdi": True, "cdi_devices": CDI}, "it takes Podman 5.4"),
        ({**PODMAN, "cdi_devices": ()}, "knows no CDI device of NVIDIA"),
        ({**PODMAN, "cdi_devices": None}, "cannot be seen from here"),
        ({"nvidia_driver": True, "variable_counts": False, "runtimes": ("nvidia",)}, "ignores NVIDIA_VISIBLE_DEVICES"),
    ],
)
def test_an_engine_that_has_no_way_is_refused_with_the_reason(can: dict[str, Any], what: str) -> None:
    with pytest.raises(Refusal, match=what) as refused:
        chosen(**can)
    assert refused.value.fix


def test_what_is_asked_for_holds_or_is_refused() -> None:
    assert chosen("runtime", nvidia_driver=True, runtimes=("nvidia",)) == "runtime"
    with pytest.raises(Refusal, match="by CDI: this engine does not use CDI"):
        chosen("cdi", nvidia_driver=True)


def test_a_privileged_container_is_heeded_where_others_are_not() -> None:
    access = HostAccess(capabilities=Capabilities(nvidia_driver=True, variable_counts=False))
    assert choose(access, service("a", sees_all_devices=True, privileged=True)).mechanism == "nvidia"
    for other in (service("a"), service("a", sees_all_devices=True)):
        with pytest.raises(Refusal):
            choose(access, other)


def test_the_file_of_a_service_comes_before_the_operator() -> None:
    access = HostAccess(capabilities=Capabilities(nvidia_driver=True, runtimes=("nvidia",)), asked="nvidia")
    assert choose(access, service("a", mechanism="runtime")).mechanism == "runtime"


def test_a_container_keeps_its_mechanism_while_that_works() -> None:
    by_cdi = DeviceRequest(driver="cdi", device_ids=("nvidia.com/gpu=0",))
    one = service("a", container=container("a", device_requests=(by_cdi,)))
    both = Capabilities(nvidia_driver=True, cdi=True, cdi_devices=CDI)
    assert choose(HostAccess(capabilities=both), one).mechanism == "cdi"
    assert choose(HostAccess(capabilities=Capabilities(nvidia_driver=True)), one).mechanism == "nvidia"


def test_the_mechanism_of_a_container_is_read_off_it() -> None:
    assert present_mechanism(container("a", gpu(0))) == "nvidia"
    by_runtime = container("a", runtime="nvidia", gpu_environment={"NVIDIA_VISIBLE_DEVICES": "all"})
    assert present_mechanism(by_runtime) == "runtime"
    assert (
        present_mechanism(container("a", runtime="nvidia", gpu_environment={"NVIDIA_VISIBLE_DEVICES": "void"})) is None
    )
    assert present_mechanism(container("a")) is None


def test_a_container_that_runs_with_a_request_proves_the_driver() -> None:
    unknown = Capabilities()
    assert with_evidence(unknown, [container("a", gpu(0))]).nvidia_driver is True
    assert with_evidence(unknown, [container("a", gpu(0), state="created"), container("b")]).nvidia_driver is None
