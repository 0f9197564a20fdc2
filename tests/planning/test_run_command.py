"""A container as the `docker run` that makes it: readable, pasted without harm, and without secrets."""

import shlex
from itertools import pairwise

from gputui.domain.container import ContainerSpec
from gputui.planning.changes.run_command import run_command, shown_body


def spec(**body: object) -> ContainerSpec:
    return ContainerSpec(name="llm", body={"Image": "vllm:1", **body})


def test_what_docker_run_can_say_is_said() -> None:
    host = {
        "DeviceRequests": [{"Driver": "nvidia", "DeviceIDs": ["GPU-a", "GPU-b"], "Capabilities": [["gpu"]]}],
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}, "ShmSize": 16 * 2**30, "IpcMode": "host",
        "Binds": ["/models:/models:ro"], "PortBindings": {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8001"}]},
        "Ulimits": [{"Name": "memlock", "Soft": -1, "Hard": -1}], "Privileged": True,
    }  # fmt: skip
    command = run_command(spec(HostConfig=host, Cmd=["--model", "a b"], Env=["A=1"], User="1000"))
    words = shlex.split(command)
    assert words[:5] == ["docker", "run", "--detach", "--name", "llm"]
    for pair in (
        ("--gpus", '"device=GPU-a,GPU-b"'), ("--restart", "on-failure:3"), ("--shm-size", "16384m"), ("--ipc", "host"),
        ("--volume", "/models:/models:ro"), ("--publish", "127.0.0.1:8001:8000/tcp"), ("--ulimit", "memlock=-1:-1"),
        ("--env", "A=1"), ("--user", "1000"),
    ):  # fmt: skip
        assert pair in list(pairwise(words)), pair
    assert "--privileged" in words
    assert words[-3:] == ["vllm:1", "--model", "a b"]


def test_secrets_are_masked_wherever_they_stand() -> None:
    secret = spec(
        Env=["HF_TOKEN=hf_abc", "A=b"],
        Cmd=["bash", "-c", "vllm serve m --api-key sk-123 && echo done"],
        Healthcheck={"Test": ["CMD-SHELL", "curl -H x --token tok9 http://x"]},
        Labels={"my_password": "pw1"},
    )
    for text in (run_command(secret), shown_body(secret)):
        for leaked in ("hf_abc", "sk-123", "tok9", "pw1"):
            assert leaked not in text, leaked


def test_what_is_pasted_into_a_shell_does_what_it_says() -> None:
    words = ["curl", "--token", "abc", "http://x;reboot", "$(id)", "it's"]
    pasted = run_command(spec(Cmd=words))
    assert shlex.split(pasted)[-5:] == ["--token", "••••", "http://x;reboot", "$(id)", "it's"]


def test_cdi_names_are_devices() -> None:
    host = {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=0"]}]}
    assert "--device nvidia.com/gpu=0" in run_command(spec(HostConfig=host))
