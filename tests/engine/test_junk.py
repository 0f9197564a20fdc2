"""Engines and files of docker that say anything: what reads them crashes at nothing."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.domain.original import Original
from gputui.engine import capabilities
from gputui.engine.capabilities import capabilities_of
from gputui.engine.cdi_specs import read_devices
from gputui.engine.container_events import events_in, signal_number
from gputui.engine.engine_address import engine_address
from gputui.engine.inspect_data import container_from, spec_from
from gputui.engine.list_line import list_line
from gputui.engine.log_frames import LogFrames, framed, split_time
from gputui.engine.start_needs import is_gone, start_needs
from tests.junk import bent, documents, in_a_process, maps, own_errors_only, texts, tried, utf8_texts, values, written

IDENTITY = "3f" * 32
BODY: dict[str, Any] = {
    "Id": IDENTITY,
    "Name": "/ai-llm-1",
    "Created": "2025-05-01T10:00:00.123456789Z",
    "Image": "sha256:" + "ab" * 32,
    "RestartCount": 1,
    "HostsPath": "/var/lib/docker/hosts",
    "State": {
        "Status": "exited",
        "ExitCode": 1,
        "Error": "",
        "OOMKilled": False,
        "Pid": 7,
        "StartedAt": "2025-05-01T10:00:00Z",
        "Health": {"Status": "healthy"},
    },
    "Config": {
        "Hostname": IDENTITY[:12],
        "Image": "vllm/vllm-openai:v0.11.0",
        "Env": ["HF_HOME=/m", "NVIDIA_VISIBLE_DEVICES=0"],
        "Cmd": ["--model", "a/b", "--api-key", "secret"],
        "Entrypoint": ["sh", "-c", "exec vllm serve $0"],
        "Labels": {
            "com.docker.compose.project": "ai",
            "com.docker.compose.service": "llm",
            "com.docker.compose.container-number": "1",
            "com.docker.compose.depends_on": "db:service_healthy:false",
            "io.gputui.gpus": "GPU-1",
            "io.gputui.order": "0",
            "io.gputui.budget-mib": "2048",
            "io.gputui.revision": "3",
            "io.gputui.original": Original(command=["a"], variables={"A": None, "B": "c"}).label(),
        },
        "ExposedPorts": {"8000/tcp": {}},
        "MacAddress": "",
        "StopSignal": "SIGTERM",
        "StopTimeout": 5,
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 10**9, "StartPeriod": 10**9, "Retries": 3},
        "WorkingDir": "/",
    },
    "HostConfig": {
        "NetworkMode": "ai_default",
        "IpcMode": "private",
        "PidMode": "",
        "Privileged": False,
        "AutoRemove": False,
        "Binds": ["/models:/models:ro", "/anonymous"],
        "Runtime": "nvidia",
        "VolumesFrom": ["data:ro"],
        "Links": ["/db:/llm/database"],
        "Devices": [{"PathOnHost": "/dev/nvidia0", "PathInContainer": "/dev/nvidia0"}],
        "Mounts": [{"Type": "bind", "Source": "/a", "Target": "/b"}, {"Type": "volume", "Source": "v", "Target": "/v"}],
        "PortBindings": {"8000/tcp": [{"HostIp": "", "HostPort": "8000"}]},
        "DeviceRequests": [
            {"Driver": "", "Count": -1, "DeviceIDs": ["0"], "Capabilities": [["gpu"]], "Options": {"a": "b"}},
        ],
        "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
    },
    "Mounts": [
        {"Type": "volume", "Name": "x" * 64, "Source": "/var/lib/x", "Destination": "/cache", "RW": True},
        {"Type": "bind", "Source": "/models", "Destination": "/models", "RW": False},
    ],
    "NetworkSettings": {
        "Ports": {"8000/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8000"}], "9/udp": None},
        "Networks": {
            "ai_default": {
                "NetworkID": "cd" * 32,
                "IPAddress": "172.18.0.2",
                "Aliases": ["llm", IDENTITY[:12]],
                "Links": None,
                "IPAMConfig": {"IPv4Address": "172.18.0.2"},
                "DriverOpts": {},
                "GwPriority": 0,
            },
        },
    },
}


def of_engine(body: Any) -> dict[str, Any]:
    """A map with an id: what has none is asked for by nobody."""
    found = dict(body) if isinstance(body, Mapping) else {}
    return {**found, "Id": found.get("Id") or IDENTITY}


bodies = (bent(BODY) | maps).map(of_engine)


@tried(80)
@given(body=bodies)
def test_an_inspect_body_of_junk_crashes_nothing(body: dict[str, Any]) -> None:
    """Anything may stand where a text, a number, a list or a map belongs."""
    with own_errors_only():
        found = container_from(body)
        assert (found.command, found.run, found.lives) is not None
        assert found.gpu_request is None or found.gpu_request.asks_for_gpus


@tried(80)
@given(lines=st.lists(st.tuples(texts, texts).map("=".join), max_size=4))
def test_variables_of_junk_in_an_inspect_body_crash_nothing(lines: list[str]) -> None:
    """Also those that no encoding can hold."""
    with own_errors_only():
        container_from({**BODY, "Config": {**BODY["Config"], "Env": lines}})


@tried(80)
@given(body=bodies, moved=st.booleans())
def test_the_spec_of_an_inspect_body_of_junk_crashes_nothing(body: dict[str, Any], *, moved: bool) -> None:
    """A container that cannot be made again is refused in words."""
    with own_errors_only():
        spec_from(body, image_moved=moved)


@tried(60)
@given(body=bodies)
def test_what_a_container_of_junk_needs_to_start_crashes_nothing(body: dict[str, Any]) -> None:
    """Nor does the look for the paths that it names."""
    with own_errors_only():
        needs = start_needs(body)
        for path in needs.paths:
            is_gone(path)


LINE = {"Id": IDENTITY, "State": "running", "Status": "Up 5 minutes (healthy)", "Names": ["/a", "/b"], "Created": 1}


@tried(60)
@given(one=bent(LINE) | maps, other=bent(LINE))
def test_a_line_of_the_list_of_junk_crashes_nothing(one: Any, other: Any) -> None:
    """Lines of anything can be told apart."""
    with own_errors_only():
        list_line(of_engine(one)).is_older(list_line(of_engine(other)))


ages = st.tuples(st.sampled_from(["Up ", "Exited (1) ", ""]), utf8_texts, st.sampled_from([" seconds", " hours ago"]))


@tried(60)
@given(age=ages)
def test_an_age_of_junk_in_the_list_crashes_nothing(age: tuple[str, str, str]) -> None:
    """No count of hours is too long."""
    with own_errors_only():
        list_line({"Id": IDENTITY, "Status": "".join(age)})


EVENT = {
    "Type": "container",
    "Action": "kill",
    "time": 1700000000,
    "timeNano": 1700000000250000000,
    "Actor": {"ID": IDENTITY, "Attributes": {"image": "a", "signal": "15"}},
}


@tried(80)
@given(lines=st.lists(documents(EVENT), min_size=1, max_size=4), cut=st.integers(1, 50))
def test_events_of_junk_crash_nothing_however_they_are_cut(lines: list[bytes], cut: int) -> None:
    """The one after them is heard all the same."""
    stream = b"\n".join(lines) + b"\n" + json.dumps({**EVENT, "Action": "the last"}).encode() + b"\n"
    size = max(1, len(stream) // cut)
    with own_errors_only():
        found = list(events_in(stream[at : at + size] for at in range(0, len(stream), size)))
        assert found[-1].action == "the last"


@tried(60)
@given(event=bent(EVENT))
def test_an_event_of_junk_stops_no_container_by_a_crash(event: Any) -> None:
    """Whatever signal it tells, and whatever signal the container asks for."""
    container = container_from(BODY)
    with own_errors_only():
        for one in events_in([written(event).encode() + b"\n"]):
            one.stops(container)


@tried(60)
@given(name=texts)
def test_a_signal_of_junk_is_none(name: str) -> None:
    """It is a number, or unknown."""
    with own_errors_only():
        assert signal_number(name) is None or isinstance(signal_number(name), int)


@tried(80)
@given(
    chunks=st.lists(
        st.binary(max_size=60) | st.tuples(st.integers(0, 255), st.binary(max_size=40)).map(lambda one: framed(*one)),
        max_size=6,
    )
)
def test_a_log_of_junk_crashes_nothing(chunks: list[bytes]) -> None:
    """Frames of anything are lines, or refused in words."""
    frames = LogFrames()
    with own_errors_only():
        for chunk in chunks:
            for _, line in frames.feed(chunk):
                split_time(line)
        frames.end()


CONTEXT = {"Name": "far", "Endpoints": {"docker": {"Host": "tcp://far:2376", "SkipTLSVerify": False}}}


@tried(60)
@given(config=documents({"currentContext": "far"}), meta=documents(CONTEXT))
def test_files_of_docker_contexts_of_junk_crash_nothing(tmp_path: Path, config: bytes, meta: bytes) -> None:
    """An engine is found, or it is said in words why none is."""
    folder = tmp_path / "contexts/meta" / hashlib.sha256(b"far").hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meta.json").write_bytes(meta)
    (tmp_path / "config.json").write_bytes(config)
    for environment in ({}, {"DOCKER_CONTEXT": "far"}, {"DOCKER_CONTEXT": "near"}):
        with own_errors_only():
            found = engine_address(None, None, {"DOCKER_CONFIG": str(tmp_path), **environment})
            assert found.socket is None or found.socket


@tried(60)
@given(name=texts)
def test_a_current_context_of_junk_is_refused_in_words(tmp_path: Path, name: str) -> None:
    """Whatever its name is made of."""
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": name}))
    with own_errors_only():
        engine_address(None, None, {"DOCKER_CONFIG": str(tmp_path)})


@tried(60)
@given(host=utf8_texts.filter(lambda text: "\0" not in text), name=utf8_texts.filter(lambda text: "\0" not in text))
def test_an_engine_of_junk_in_the_environment_crashes_nothing(tmp_path: Path, host: str, name: str) -> None:
    """Whatever the variables of docker hold."""
    for environment in ({"DOCKER_HOST": host}, {"DOCKER_CONTEXT": name}, {"DOCKER_CONFIG": name}, {"HOME": host}):
        with own_errors_only():
            engine_address(None, None, {"DOCKER_CONFIG": str(tmp_path), **environment})


INFO = {
    "ID": "a",
    "Name": "host",
    "SecurityOptions": ["name=rootless"],
    "CgroupDriver": "systemd",
    "DefaultRuntime": "runc",
    "Runtimes": {"runc": {}, "nvidia": {}},
    "CDISpecDirs": ["/etc/cdi"],
    "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}],
}
VERSION = {"Version": "5.4.0", "ApiVersion": "1.41", "Components": [{"Name": "Podman Engine", "Version": "5.4.0"}]}


@tried(80)
@given(info=(bent(INFO) | maps), version=(bent(VERSION) | maps))
def test_what_an_engine_of_junk_says_of_itself_crashes_nothing(info: Any, version: Any) -> None:
    """Nor what it says of its devices."""
    told = [one if isinstance(one, dict) else {} for one in (info, version)]
    with own_errors_only():
        capabilities_of(told[0], told[1], same_host=False)


CDI = {
    "cdiVersion": "0.5.0",
    "kind": "nvidia.com/gpu",
    "devices": [{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia0"}]}}, {"name": 1}],
}


@tried(60)
@given(raw=documents(CDI, yaml=True, deep=False), ending=st.sampled_from(["yaml", "json"]))
def test_a_cdi_specification_of_junk_crashes_nothing(tmp_path: Path, raw: bytes, ending: str) -> None:
    """What cannot be read is left out."""
    path = tmp_path / f"nvidia.{ending}"
    path.write_bytes(raw)
    with own_errors_only():
        assert read_devices([str(tmp_path)]) is not None
    path.unlink()


def test_a_cdi_specification_nested_deeply_takes_nothing_down(tmp_path: Path) -> None:
    """The process that reads it goes on."""
    (tmp_path / "nvidia.yaml").write_bytes(b"[" * 100_000)
    in_a_process(
        "import sys; from gputui.engine.cdi_specs import read_devices; read_devices([sys.argv[1]])", str(tmp_path)
    )


@tried(50)
@given(value=values, key=st.sampled_from(["CDISpecDirs", "DiscoveredDevices"]))
def test_folders_of_junk_for_cdi_crash_nothing(value: Any, key: str) -> None:
    """An engine may name any folders."""
    with own_errors_only():
        capabilities_of({**INFO, key: value}, {}, same_host=True)


TOML = [
    b"a = " + b"9" * 5000,
    b"a = " + b"[" * 10_000,
    b"a = 1979-99-99",
    b"\xff",
    b"a = nan",
    b"a.a = 1\na = 2",
    b"\0",
]


@tried(50)
@given(raw=st.sampled_from(TOML) | st.binary(max_size=100) | utf8_texts.map(lambda text: f"a = {text}".encode()))
def test_settings_of_junk_of_the_container_toolkit_crash_nothing(tmp_path: Path, raw: bytes) -> None:
    """What they do not say is unknown."""
    path = tmp_path / "config.toml"
    path.write_bytes(raw)
    with pytest.MonkeyPatch.context() as patch, own_errors_only():
        patch.setattr(capabilities, "TOOLKIT_CONFIG", path)
        capabilities_of({}, {}, same_host=True)
