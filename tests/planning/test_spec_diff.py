"""What is told of the difference between two specs of a container."""

from typing import Any

from gputui.domain.container import ContainerSpec
from gputui.planning.changes.spec_diff import spec_diff


def told(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, ...]:
    return spec_diff(ContainerSpec(name="a", body=before), ContainerSpec(name="a", body=after))


def test_each_field_that_changes_is_a_line() -> None:
    before = {"Image": "one", "Env": ["A=1", "B=1"], "HostConfig": {"Binds": ["cache:/cache:rw"], "ShmSize": 1}}
    after = {"Image": "two", "Env": ["A=1", "B=2"], "HostConfig": {"Binds": ["other:/cache:rw"], "ShmSize": 1}}
    assert told(before, after) == ("Image: one → two", "environment B: 1 → 2", "mount /cache: cache rw → other rw")


def test_a_secret_is_not_told() -> None:
    (line,) = told({"Env": ["HF_TOKEN=hf_abcdefgh"]}, {"Env": ["HF_TOKEN=hf_ijklmnop"]})
    assert "hf_" not in line


def test_what_is_empty_and_what_is_not_there_are_the_same() -> None:
    assert told({"HostConfig": {"Binds": None, "RestartPolicy": {"Name": ""}}}, {"HostConfig": {}}) == ()


def test_neither_gpus_nor_what_docker_run_was_connected_to_are_told() -> None:
    gpus = {"HostConfig": {"DeviceRequests": [{"DeviceIDs": ["GPU-1"]}]}, "Env": ["CUDA_VISIBLE_DEVICES=0"]}
    assert told(gpus, {"AttachStdout": True, "Labels": {"io.gputui.order": "0"}}) == ()
