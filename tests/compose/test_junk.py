"""Compose files and `.env` files of anything: they are read, or it is said in words what is wrong with them."""

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gputui.compose.env_file import read_env_file
from gputui.compose.files import ComposeFiles, compose_files, variables_of
from gputui.compose.keys import SERVICE_KEYS
from gputui.compose.project import project_of
from gputui.compose.reading import read_own
from tests.junk import YAML_TOKENS, bent, documents, own_errors_only, tried, utf8_texts, written, yaml_values

SERVICE: dict[str, Any] = {
    "image": "vllm/vllm-openai:${TAG:-v0.11.0}",
    "container_name": "llm",
    "command": ["--model", "a/b"],
    "entrypoint": "sh -c 'vllm serve'",
    "environment": {"A": "b", "C": None},
    "env_file": [{"path": "a.env", "required": False}],
    "labels": ["a=b"],
    "ports": ["8000:8000", {"target": 80, "published": "81", "protocol": "tcp"}],
    "expose": [9000],
    "volumes": [
        "/a:/b:ro",
        "data:/c",
        {"type": "bind", "source": "/d", "target": "/e", "bind": {"create_host_path": True}},
    ],
    "networks": {"default": {"aliases": ["x"], "priority": 1}},
    "depends_on": {"db": {"condition": "service_started"}},
    "deploy": {
        "replicas": 1,
        "resources": {
            "limits": {"memory": "4g", "cpus": "1.5"},
            "reservations": {"devices": [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]},
        },
    },
    "gpus": [{"count": 1, "capabilities": ["gpu"]}],
    "runtime": "nvidia",
    "shm_size": "16gb",
    "mem_limit": "1g",
    "cpus": 1.5,
    "healthcheck": {"test": ["CMD", "true"], "interval": "30s", "timeout": "5s", "retries": 3, "start_period": "1m"},
    "restart": "on-failure:3",
    "ulimits": {"memlock": -1, "nofile": {"soft": 1, "hard": 2}},
    "stop_grace_period": "1m30s",
    "logging": {"driver": "json-file", "options": {"max-size": "1m"}},
    "extra_hosts": ["a:1.2.3.4"],
    "tmpfs": ["/t:size=1m"],
    "cap_add": ["SYS_ADMIN"],
    "security_opt": ["no-new-privileges:true"],
    "sysctls": {"a": 1},
    "user": 1000,
    "pid": "host",
    "ipc": "service:db",
    "devices": ["/dev/nvidia0:/dev/nvidia0:rwm"],
    "dns": "1.1.1.1",
    "group_add": [1],
    "init": True,
    "blkio_config": {"weight": 10, "device_read_bps": [{"path": "/dev/sda", "rate": "1mb"}]},
    "secrets": ["s"],
    "configs": ["c"],
    "x-gputui": {"backend": "vllm", "vram": "20GiB", "priority": 1, "gpus": ["0"], "fallback": "ask"},
    "scale": 1,
    "privileged": False,
    "read_only": False,
    "tty": False,
    "working_dir": "/",
    "hostname": "h",
    "mac_address": "aa",
    "links": ["db:d"],
    "volumes_from": ["db"],
    "profiles": ["a"],
    "pull_policy": "always",
    "oom_score_adj": 1,
    "pids_limit": 5,
}
MODEL: dict[str, Any] = {
    "name": "ai",
    "x-gputui": {"path_aliases": {"/a": "/b"}},
    "services": {"llm": SERVICE, "db": {"image": "postgres", "extends": {"service": "base"}}, "base": {"build": "."}},
    "networks": {"default": {"driver": "bridge", "ipam": {"config": [{"subnet": "10.0.0.0/24"}]}, "external": False}},
    "volumes": {"data": {"name": "d", "driver_opts": {"a": "b"}}},
    "secrets": {"s": {"file": "./s"}},
    "configs": {"c": {"content": "x"}},
    "include": [],
    "version": "3.8",
}
SHORT = {**MODEL, "services": {"llm": {"image": "a"}}}


def read(folder: Path, raw: bytes) -> None:
    """As gputui reads a file by itself."""
    path = folder / "compose.yaml"
    path.write_bytes(raw)
    files = ComposeFiles((path,))
    with own_errors_only():
        project_of(read_own([path], "ai", {"HOME": str(folder)}), files)


@tried(60)
@given(raw=documents(MODEL, yaml=True))
def test_a_compose_file_of_junk_is_refused_in_words(tmp_path: Path, raw: bytes) -> None:
    """Whether it is no YAML, or YAML that says something else."""
    read(tmp_path, raw)


@tried(100)
@given(key=st.sampled_from(sorted({*SERVICE_KEYS, *SERVICE})), value=yaml_values)
def test_any_value_of_a_service_is_taken_or_refused_in_words(tmp_path: Path, key: str, value: Any) -> None:
    """Whatever the key is."""
    model = {"services": {"llm": {"image": "a", key: value}}}
    read(tmp_path, written(model, yaml=True).encode())


@tried(100)
@given(service=st.sampled_from(sorted(SERVICE)).flatmap(lambda key: bent({key: SERVICE[key]}, yaml_values)))
def test_a_service_whose_values_are_junk_inside_is_taken_or_refused_in_words(tmp_path: Path, service: Any) -> None:
    """However deep in a value the junk stands."""
    inside = {"image": "a", **service} if isinstance(service, dict) else service
    read(tmp_path, written({**MODEL, "services": {"llm": inside, "db": {"image": "b"}}}, yaml=True).encode())


@tried(60)
@given(model=bent(SHORT, yaml_values))
def test_a_file_whose_networks_and_volumes_are_junk_is_taken_or_refused_in_words(tmp_path: Path, model: Any) -> None:
    """Also where its services are all right."""
    read(tmp_path, written(model, yaml=True).encode())


@tried(50)
@given(token=st.sampled_from(YAML_TOKENS), key=st.sampled_from(["services", "llm", "image", "environment", ""]))
def test_any_piece_of_yaml_is_taken_or_refused_in_words(tmp_path: Path, token: str, key: str) -> None:
    """Wherever it stands: tags, aliases of themselves, merges of nothing, dates that are none."""
    lines = {
        "services": f"services: {token}", "llm": f"services:\n  llm: {token}",
        "image": f"services:\n  llm:\n    image: {token}",
        "environment": f"services:\n  llm:\n    image: a\n    environment:\n      A: {token}", "": token,
    }  # fmt: skip
    read(tmp_path, lines[key].encode())


@tried(50)
@given(first=documents(SHORT, yaml=True, deep=False), second=bent(SHORT, yaml_values))
def test_an_override_of_junk_is_taken_or_refused_in_words(tmp_path: Path, first: bytes, second: Any) -> None:
    """Two files that have nothing to do with each other."""
    paths = (tmp_path / "compose.yaml", tmp_path / "over.yaml")
    paths[0].write_bytes(first)
    paths[1].write_text(written(second, yaml=True))
    with own_errors_only():
        project_of(read_own(paths, "ai", {}), ComposeFiles(paths))


lines = st.one_of(
    st.binary(max_size=60),
    utf8_texts.map(str.encode),
    utf8_texts.map(lambda text: f"A={text}\n".encode()),
    utf8_texts.map(lambda text: f'A="{text}"\n'.encode()),
    utf8_texts.map(lambda text: f"{text}=a\n".encode()),
    st.sampled_from(
        [
            b"A=${B:?}\n",
            b"A=${A}\n",
            b"A='\n",
            b'A="\\0777\\x\\',
            b"export \n",
            b"A" * 5000,
            b"A=" + b"${A:-" * 5000,
            b"\0=\0",
        ]
    ),
)


@tried(80)
@given(pieces=st.lists(lines, max_size=5), raw=st.booleans())
def test_an_env_file_of_junk_is_refused_in_words(tmp_path: Path, pieces: list[bytes], *, raw: bool) -> None:
    """Whatever its quotes, names and variables are."""
    path = tmp_path / ".env"
    path.write_bytes(b"".join(pieces))
    with own_errors_only():
        read_env_file(path, {"B": "c"}, required=True, location="here", raw=raw)


names = utf8_texts.filter(lambda text: "\0" not in text)


@tried(60)
@given(pieces=st.lists(lines, max_size=3), name=utf8_texts)
def test_names_of_junk_in_env_files_crash_nothing(tmp_path: Path, pieces: list[bytes], name: str) -> None:
    """A file may name the Compose files, and the name of the project."""
    (tmp_path / ".env").write_bytes(b"".join(pieces) + f"\nCOMPOSE_FILE={name}\nCOMPOSE_PROJECT_NAME={name}\n".encode())
    (tmp_path / "compose.yaml").write_text("services: {a: {image: b}}")
    with own_errors_only():
        compose_files([], tmp_path, {})
    with own_errors_only():
        variables_of(ComposeFiles((tmp_path / "compose.yaml",)), {})
    with own_errors_only():
        read_own([tmp_path / "compose.yaml"], None, {})


@tried(50)
@given(name=names)
def test_an_environment_of_junk_crashes_nothing(tmp_path: Path, name: str) -> None:
    """Whatever the variables of Compose hold."""
    path = tmp_path / "compose.yaml"
    path.write_text("services: {a: {image: '${A}', ports: ['${A}'], volumes: ['${A}:/b']}}")
    for variable in ("COMPOSE_FILE", "COMPOSE_ENV_FILES", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES", "A", "HOME"):
        with own_errors_only():
            compose_files([], tmp_path, {variable: name})
        with own_errors_only():
            project_of(read_own([path], None, {variable: name}), ComposeFiles((path,)))
