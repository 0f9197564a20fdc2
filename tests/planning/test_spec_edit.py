"""What is changed in a container's spec, and that nothing else is."""

import copy
from typing import Any

from gputui.domain.container import ContainerSpec
from gputui.domain.injection import CdiDevice, MechanismName
from gputui.domain.service import Edit
from gputui.planning.changes.argument_edit import with_argument
from gputui.planning.changes.container_view import container_view
from gputui.planning.changes.spec_edit import gib_down, with_edits, with_gpus, with_volumes_of
from tests.builders import gpu

HOST = [gpu(index) for index in range(4)]
BODY: dict[str, Any] = {
    "Image": "vllm:1",
    "Env": ["HF_TOKEN=secret", "NVIDIA_VISIBLE_DEVICES=all", "CUDA_VISIBLE_DEVICES=3", "A=b"],
    "Cmd": ["--model", "x", "--max-model-len=4096", "--enforce-eager"],
    "Labels": {"keep": "me"},
    "HostConfig": {
        "ShmSize": 1,
        "DeviceRequests": [
            {
                "Driver": "nvidia", "Count": -1, "DeviceIDs": None, "Capabilities": [["gpu", "utility"]],
                "Options": {"o": "p"},
            },
            {"Driver": "other", "Count": 1, "DeviceIDs": None, "Capabilities": [["tpu"]], "Options": {}},
        ],
    },
}  # fmt: skip


def changed(*indices: int) -> dict[str, Any]:
    before = copy.deepcopy(BODY)
    view = container_view(HOST, [HOST[index].uuid for index in indices])
    after = with_gpus(ContainerSpec(name="a", body=BODY), view, revision=7, operator="alice")
    assert before == BODY, "the spec that undo needs is not touched"
    return dict(after.body)


def test_one_request_by_uuid_replaces_the_old_and_keeps_its_capabilities_and_options() -> None:
    other, request = changed(2, 0)["HostConfig"]["DeviceRequests"]
    assert request == {
        "Driver": "nvidia",
        "Count": 0,
        "DeviceIDs": [HOST[2].uuid, HOST[0].uuid],
        "Capabilities": [["gpu", "utility"]],
        "Options": {"o": "p"},
    }
    assert other["Driver"] == "other"


def by(mechanism: MechanismName, *indices: int, **host: Any) -> dict[str, Any]:
    named = [CdiDevice(f"nvidia.com/gpu={one.index}", (f"/dev/nvidia{one.minor}",)) for one in HOST]
    view = container_view(HOST, [HOST[index].uuid for index in indices], mechanism=mechanism, cdi_devices=named)
    body = {**BODY, "HostConfig": {**BODY["HostConfig"], **host}}
    return dict(with_gpus(ContainerSpec(name="a", body=body), view, revision=7, operator="alice").body)


def test_a_cdi_request_names_cdi_devices_and_leaves_the_variable_void() -> None:
    body = by("cdi", 2, 0)
    other, request = body["HostConfig"]["DeviceRequests"]
    assert (request["Driver"], request["DeviceIDs"]) == ("cdi", ["nvidia.com/gpu=2", "nvidia.com/gpu=0"])
    assert (request["Capabilities"], request["Options"]) == ([["gpu", "utility"]], {"o": "p"})
    assert other["Driver"] == "other"
    assert "NVIDIA_VISIBLE_DEVICES=void" in body["Env"]
    assert "CUDA_VISIBLE_DEVICES=1,0" in body["Env"]


def test_by_the_runtime_there_is_no_request_and_the_variables_say_all() -> None:
    body = by("runtime", 2, 0, Runtime="runc")
    assert [one["Driver"] for one in body["HostConfig"]["DeviceRequests"]] == ["other"]
    assert body["HostConfig"]["Runtime"] == "nvidia"
    assert f"NVIDIA_VISIBLE_DEVICES={HOST[2].uuid},{HOST[0].uuid}" in body["Env"]
    assert "NVIDIA_DRIVER_CAPABILITIES=utility" in body["Env"], "what the old request asked of the driver is kept"


def test_a_request_that_was_one_for_cdi_becomes_one_for_the_driver() -> None:
    old = [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=3"], "Capabilities": None}]
    (request,) = by("nvidia", 1, DeviceRequests=old)["HostConfig"]["DeviceRequests"]
    assert (request["Driver"], request["DeviceIDs"], request["Capabilities"]) == ("", [HOST[1].uuid], [["gpu"]])


def test_gpu_nodes_that_were_given_one_by_one_do_not_come_beside_the_request() -> None:
    devices = [
        {"PathOnHost": path, "PathInContainer": path} for path in ("/dev/nvidia3", "/dev/nvidiactl", "/dev/fuse")
    ]
    left = by("nvidia", 1, Devices=devices)["HostConfig"]["Devices"]
    assert [one["PathInContainer"] for one in left] == ["/dev/fuse"]


def test_the_variables_say_the_same_as_the_request() -> None:
    lines = changed(2, 0)["Env"]
    assert lines == [
        "HF_TOKEN=secret",
        "A=b",
        f"NVIDIA_VISIBLE_DEVICES={HOST[2].uuid},{HOST[0].uuid}",
        "CUDA_VISIBLE_DEVICES=1,0",
        "CUDA_DEVICE_ORDER=PCI_BUS_ID",
    ]


def test_without_gpus_there_is_no_request_and_nothing_visible() -> None:
    body = changed()
    assert [one["Driver"] for one in body["HostConfig"]["DeviceRequests"]] == ["other"]
    assert body["Env"] == ["HF_TOKEN=secret", "A=b", "NVIDIA_VISIBLE_DEVICES=void"]


def test_labels_remember_the_mapping() -> None:
    labels = changed(2, 0)["Labels"]
    assert labels["keep"] == "me"
    assert (labels["io.gputui.gpus"], labels["io.gputui.order"]) == (f"{HOST[2].uuid},{HOST[0].uuid}", "1,0")
    assert (labels["io.gputui.revision"], labels["io.gputui.operator"]) == ("7", "alice")


def test_a_budget_is_set_and_taken_away_again() -> None:
    spec = ContainerSpec(name="a", body=BODY)
    with_budget = with_edits(spec, budget_mib=3584, budget_env="VRAM_BUDGET_GB", edits=())
    assert "VRAM_BUDGET_GB=3.5" in with_budget.body["Env"]
    without = with_edits(with_budget, budget_mib=None, budget_env="VRAM_BUDGET_GB", edits=())
    assert without.body["Env"] == BODY["Env"]


def test_a_budget_is_rounded_down() -> None:
    assert [gib_down(mib) for mib in (3584, 3583, 1024, 100)] == ["3.5", "3.4", "1.0", "0.1"]


def test_arguments_change_where_they_stand_and_in_their_form() -> None:
    command = BODY["Cmd"]
    assert with_argument(command, "--model", "y")[:2] == ["--model", "y"]
    assert "--max-model-len=8192" in with_argument(command, "--max-model-len", "8192")
    assert with_argument(command, "--tp", "2")[-2:] == ["--tp", "2"]
    assert "--enforce-eager" not in with_argument(command, "--enforce-eager", None)
    edited = with_edits(
        ContainerSpec(name="a", body=BODY), budget_mib=None, budget_env="X", edits=[Edit(argument="--tp", value="2")]
    )
    assert edited.body["Cmd"][-2:] == ["--tp", "2"]
    without = with_edits(edited, budget_mib=None, budget_env="X", edits=())
    assert without.body["Cmd"] == BODY["Cmd"], "taking an edit back restores what was there"
    assert without.body["Labels"] == BODY["Labels"]


def volume(target: str, source: str | None = None) -> dict[str, Any]:
    return {"Type": "volume", "Target": target, "ReadOnly": False} | ({"Source": source} if source else {})


def mounts_made_of(host: dict[str, Any], image: tuple[str, ...] = (), **old: Any) -> list[dict[str, Any]]:
    """By a file that says this, in the place of a container with unnamed volumes at /asked, which it asked for, and at
    /data, which its image has."""
    body = {"Volumes": {"/data": {}}, "HostConfig": {"Mounts": [volume("/asked", "1a"), volume("/data", "2b")]}, **old}
    spec, before = ContainerSpec(name="a", body={"HostConfig": host}), ContainerSpec(name="old", body=body)
    return list(with_volumes_of(spec, before, image).body["HostConfig"]["Mounts"])


def test_volumes_without_a_name_are_those_of_the_container_before() -> None:
    assert mounts_made_of({"Mounts": [volume("/asked/")]}) == [volume("/asked", "1a"), volume("/data", "2b")]


def test_podman_and_compose_1_have_them_among_the_binds() -> None:
    old = {"Volumes": None, "HostConfig": {"Binds": ["1a:/asked:rw", "2b:/data:ro"]}}
    made = mounts_made_of({"Mounts": [volume("/asked")]}, ("/data",), **old)
    assert made == [volume("/asked", "1a"), {**volume("/data", "2b"), "ReadOnly": True}]


def test_a_place_that_the_new_image_has_a_volume_for_keeps_what_was_there() -> None:
    assert mounts_made_of({}, ("/asked/",)) == [volume("/asked", "1a"), volume("/data", "2b")]
    named = {"HostConfig": {"Binds": ["cache:/cache"]}}
    assert mounts_made_of({}, ("/cache",), **named) == [volume("/cache", "cache")]


def test_a_volume_that_the_file_asks_for_no_more_is_not_kept() -> None:
    assert mounts_made_of({}) == [volume("/data", "2b")]


def test_what_the_file_says_of_a_place_counts_before_what_was_there() -> None:
    assert mounts_made_of({"Binds": ["named:/data/:rw"]}) == []
    assert mounts_made_of({"Mounts": [volume("/data", "named")]}) == [volume("/data", "named")]
    assert mounts_made_of({"Tmpfs": {"/data": ""}}) == []
