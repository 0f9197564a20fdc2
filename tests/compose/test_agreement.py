"""gputui reads Compose files as `docker compose config` does. The real program is asked; it needs no engine."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from gputui.compose import docker_compose
from gputui.compose.docker_compose import config_hashes
from gputui.compose.reading import read_docker_compose, read_own

CORPUS = Path(__file__).resolve().parents[1] / "compose_corpus"


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    docker_compose.compose_command.cache_clear()


def both(*paths: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """By gputui's own reader, and by the program; `x-…` of services, which the program leaves out, as it has them."""
    theirs = read_docker_compose(paths, None, os.environ)
    assert isinstance(theirs, dict), theirs
    own = json.loads(json.dumps(read_own(paths, None, os.environ)))
    for name, service in own["services"].items():
        theirs["services"][name] |= {key: value for key, value in service.items() if key.startswith("x-")}
    return own, theirs


def test_services_of_every_shape_are_read_alike() -> None:
    own, theirs = both(CORPUS / "compose.yml")
    assert len(own["services"]) >= 30
    assert own == theirs


def test_a_service_of_another_profile_is_no_part_of_the_project_until_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = CORPUS / "compose.yml"
    assert "s31" not in both(path)[0]["services"]
    monkeypatch.setenv("COMPOSE_PROFILES", "never")
    own, theirs = both(path)
    assert "s31" in own["services"]
    assert own == theirs


MERGES = [
    ("environment: {A: '1', B: '2'}", "environment: ['B=3', 'C=4']"),
    ("labels: [a=1]", "labels: {b: '2'}"),
    ("volumes: ['./x:/data', '/cache']", "volumes: ['./y:/data:ro', './z:/other']"),
    ("ports: ['8000:80']", "ports: ['8001:81', '8000:80']"),
    ("command: a b", "command: [c]"),
    ("healthcheck: {test: exit 0, interval: 5s}", "healthcheck: {retries: 7}"),
    ("logging: {driver: json-file, options: {max-size: 1m}}", "logging: {options: {max-file: '2'}}"),
    ("logging: {driver: json-file, options: {max-size: 1m}}", "logging: {driver: local}"),
    ("networks: [default]", "networks: {other: {aliases: [x]}}"),
    ("depends_on: [b]", "depends_on: {c: {condition: service_healthy}}"),
    ("dns: [10.0.0.1]", "dns: [10.0.0.2]"),
    ("cap_add: [SYS_ADMIN]", "cap_add: [NET_ADMIN]"),
    ("env_file: one.env", "env_file: [two.env]"),
    ("deploy: {resources: {limits: {memory: 1g}}}", "deploy: {resources: {limits: {cpus: '2'}}}"),
    ("ulimits: {nofile: 10}", "ulimits: {nofile: {soft: 20, hard: 30}}"),
    ("tmpfs: /run", "tmpfs: [/tmp]"),
    ("extra_hosts: ['a:10.0.0.1']", "extra_hosts: ['b=10.0.0.2']"),
    ("sysctls: ['net.core.somaxconn=1']", "sysctls: {net.core.somaxconn: 2}"),
    ("devices: ['/dev/null:/dev/x']", "devices: ['/dev/zero:/dev/x', '/dev/full']"),
    ("restart: always", "restart: !reset null"),
    ("command: a", "command: !reset null"),
    ("ports: ['1:1']", "ports: !override ['2:2']"),
    ("gpus: all", "gpus: !reset null"),
    (
        "deploy: {resources: {reservations: {devices: [{driver: nvidia, count: all, capabilities: [gpu]}]}}}",
        "deploy: {resources: {reservations: {devices: !override [{device_ids: ['1'], capabilities: [gpu]}]}}}",
    ),
    ("shm_size: 1gb", "shm_size: 2gb"),
    ("secrets: [s]", "secrets: [{source: s, target: /x}]"),
    ("group_add: [a]", "group_add: [b]"),
    ("entrypoint: ['a']", "entrypoint: []"),
    ("stop_grace_period: 1m", "init: true"),
]


@pytest.mark.parametrize(("base", "over"), MERGES)
def test_two_files_are_merged_alike(tmp_path: Path, base: str, over: str) -> None:
    rest = "  b: {image: x}\n  c: {image: x}\nnetworks: {other: {}}\nsecrets: {s: {file: ./s}}\n"
    (tmp_path / "one.env").write_text("A=1\nB=1\n")
    (tmp_path / "two.env").write_text("B=2\n")
    paths = [tmp_path / "base.yml", tmp_path / "over.yml"]
    paths[0].write_text(f"name: p\nservices:\n  a:\n    image: x\n    {base}\n{rest}")
    paths[1].write_text(f"services:\n  a:\n    {over}\n")
    own, theirs = both(*paths)
    assert own == theirs


def test_a_file_that_is_refused_is_told_by_its_message(tmp_path: Path) -> None:
    path = tmp_path / "compose.yml"
    path.write_text("services: {a: {image: x, volumes: ['data:/x']}}")
    found = read_docker_compose([path], None, os.environ)
    assert isinstance(found, str)
    assert "undefined volume data" in found


def test_the_hashes_of_the_services_are_composes_own() -> None:
    hashes = config_hashes([str(CORPUS / "compose.yml")], None)
    assert len(hashes["s01"]) == 64


def test_without_docker_compose_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(docker_compose, "_PLUGINS", ())
    docker_compose.compose_command.cache_clear()
    assert read_docker_compose([CORPUS / "compose.yml"], None, os.environ) is None
    assert config_hashes([str(CORPUS / "compose.yml")], None) == {}
    assert shutil.which("docker-compose") is None
