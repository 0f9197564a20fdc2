"""Reading Compose files: what is carried, and one clear line where something is wrong."""

from pathlib import Path

import pytest

from gputui.compose import docker_compose
from gputui.compose.files import ComposeFiles
from gputui.compose.reading import read_project
from gputui.domain.compose import ComposeProject
from gputui.domain.errors import UsageError


@pytest.fixture(autouse=True)
def _without_docker_compose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_compose, "compose_command", lambda: None)


def project(folder: Path, text: str, *more: str) -> ComposeProject:
    paths = []
    for number, one in enumerate((text, *more)):
        path = folder / ("compose.yml" if number == 0 else f"over{number}.yml")
        path.write_text(one)
        paths.append(path)
    return read_project(ComposeFiles(tuple(paths)), "ai")


FULL = """
services:
  llm:
    image: vllm/vllm-openai:v0.11
    command: ["--model", "Qwen/Qwen3-32B", "--port=8000"]
    environment: {HF_TOKEN: "${TOKEN:-none}", EMPTY: "", DOLLAR: "$$5"}
    ports: ["127.0.0.1:8000:8000", "9000"]
    volumes: ["./models:/models:ro", "cache:/root/.cache"]
    shm_size: 16g
    ipc: host
    restart: unless-stopped
    stop_grace_period: 1m30s
    healthcheck: {test: curl -f localhost:8000/health, interval: 10s, start_period: 15m, retries: 3}
    networks: {default: {aliases: [model]}, back: null}
    deploy: {resources: {reservations: {devices: [{driver: nvidia, device_ids: ["0", "2"], capabilities: [gpu]}]}}}
    x-gputui: {vram: 43GiB, backend: vllm, model: Qwen3-32B}
  web:
    image: nginx
volumes: {cache: {}}
networks: {back: {external: true, name: shared-net}}
"""


def test_a_service_is_carried_as_the_body_of_its_create_call(tmp_path: Path) -> None:
    found = project(tmp_path, FULL)
    llm = found.service("llm")
    assert llm is not None
    assert (llm.uses_gpus, llm.gpus, llm.vram_mib, llm.backend, llm.model) == (
        True,
        ("0", "2"),
        44032,
        "vllm",
        "Qwen3-32B",
    )
    body, host = llm.body, llm.body["HostConfig"]
    assert body["Cmd"] == ["--model", "Qwen/Qwen3-32B", "--port=8000"]
    assert body["Env"] == ["DOLLAR=$5", "EMPTY=", "HF_TOKEN=none"], "in the order that Compose prints them in"
    assert host["PortBindings"] == {
        "8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8000"}],
        "9000/tcp": [{"HostIp": "", "HostPort": ""}],
    }
    assert host["Binds"] == [f"{tmp_path}/models:/models:ro", "ai_cache:/root/.cache:rw"]
    assert (host["ShmSize"], host["IpcMode"], body["StopTimeout"]) == (16 * 2**30, "host", 90)
    assert host["RestartPolicy"] == {"Name": "unless-stopped", "MaximumRetryCount": 0}
    assert body["Healthcheck"] == {
        "Test": ["CMD-SHELL", "curl -f localhost:8000/health"],
        "Interval": 10 * 10**9,
        "StartPeriod": 900 * 10**9,
        "Retries": 3,
    }
    # In the order of their names, as Compose joins them.
    assert body["NetworkingConfig"]["EndpointsConfig"] == {"shared-net": {"Aliases": ["ai-llm-1", "llm"]}}
    assert llm.networks == {"ai_default": {"Aliases": ["ai-llm-1", "llm", "model"]}}
    assert body["Labels"]["com.docker.compose.service"] == "llm"
    assert [(one.key, one.name) for one in found.networks] == [("default", "ai_default")]
    assert [(one.key, one.name) for one in found.volumes] == [("cache", "ai_cache")]
    assert llm.not_carried == ()


def test_a_service_without_gpus_is_read_and_not_a_gpu_service(tmp_path: Path) -> None:
    web = project(tmp_path, FULL).service("web")
    assert web is not None
    assert not web.uses_gpus


def test_a_key_that_cannot_be_carried_is_named_and_blocks_nothing_else(tmp_path: Path) -> None:
    text = "services: {a: {image: x, credential_spec: {file: c}, x-gputui: {}}, b: {build: ., x-gputui: {}}}"
    found = project(tmp_path, text)
    a, b = found.services
    assert (a.not_carried, b.not_carried) == (("credential_spec",), ("build",))


def test_a_later_file_is_merged_over_an_earlier(tmp_path: Path) -> None:
    base = "services: {a: {image: x, ports: ['1:1'], environment: {A: '1', B: '2'}, gpus: all}}"
    over = "services: {a: {ports: ['2:2'], environment: {B: '3'}, gpus: !reset null}}"
    (a,) = project(tmp_path, base, over).services
    assert a.body["Env"] == ["A=1", "B=3"]
    assert set(a.body["HostConfig"]["PortBindings"]) == {"1/tcp", "2/tcp"}
    assert a.gpus == ()


def test_anchors_and_merge_keys_work(tmp_path: Path) -> None:
    text = """
x-base: &base {image: x, x-gputui: {vram: 2GiB}}
services:
  a:
    <<: *base
    image: y
"""
    (a,) = project(tmp_path, text).services
    assert (a.image, a.vram_mib) == ("y", 2048)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("services:\n  a:\n\t- b", "compose.yml:3: not YAML"),
        ("just a text", "compose.yml:1: a Compose file is a mapping"),
        ("", "compose.yml:1: a Compose file is a mapping"),
        ("services: {}\nservcies: {}", "compose.yml:2: servcies: not a key of a Compose file"),
        ("name: x", "services: a mapping of services is missing"),
        ("services:\n  a: [1]", "compose.yml:2: services.a: a service is a mapping"),
        ("services:\n  a:\n    image: x\n    image: y", "compose.yml:4: the key image is there twice"),
        ("services:\n  a:\n    x-gputui:\n      vram: much", "compose.yml:4: x-gputui.vram: “much” is not a size"),
        ("services:\n  a:\n    x-gputui:\n      vrma: 3GiB", "compose.yml:4: x-gputui.vrma: not a key of x-gputui"),
        (
            "services:\n  a:\n    x-gputui:\n      gpus: [0, 0]",
            "compose.yml:4: x-gputui.gpus: the same GPU is named twice",
        ),
        (
            "services:\n  a:\n    image: ${IMG:?say which}",
            "compose.yml:3: image: the variable IMG is not set: say which",
        ),
        ("services:\n  a:\n    image: ${", "compose.yml:3: image: “${” is no variable that Compose knows"),
        (
            "services:\n  a:\n    image: x\n    volumes: ['data:/x']",
            "volumes: the volume data is not declared",
        ),
        (
            "services:\n  a:\n    image: x\n    stop_grace_period: soon",
            "stop_grace_period: “soon” is no duration",
        ),
        (
            "services:\n  a:\n    deploy:\n      resources:\n        reservations:\n          devices:\n"
            "            - {count: 1, device_ids: ['0'], capabilities: [gpu]}",
            "compose.yml:6: deploy.resources.reservations.devices: count and device_ids exclude each other",
        ),
        ("include: other.yml\nservices: {}", "compose.yml:1: include: a list of files is expected"),
        ("include: [other.yml]\nservices: {}", "other.yml does not exist"),
        ("services: {a: {extends: b}}", "compose.yml:1: extends: there is no service b in compose.yml"),
        ("services: {a: {extends: b}, b: {extends: a}}", "extends: services that extend each other in a circle"),
        ("services: {a: {image: x, network_mode: 'service:b'}}", "network_mode: there is no service b"),
        ("services: {a: {image: x, secrets: [s]}}", "secrets: the secret s is not declared"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_with_file_line_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        project(tmp_path, text)
    assert message in raised.value.what
    assert "\n" not in raised.value.what
    assert raised.value.fix


@pytest.mark.parametrize(
    "entry",
    [
        "deploy: x", "deploy: {resources: x}", "deploy: {resources: {reservations: [1]}}",
        "deploy: {resources: {reservations: {devices: [x]}}}",
        "deploy: {resources: {reservations: {devices: [{capabilities: 3}]}}}", "gpus: ['0']", "volumes: 3", "ports: 80",
        "ports: '80'", "networks: foo", "networks: {default: [x]}", "healthcheck: {retries: many}", "ulimits: [1]",
        "ulimits: {nofile: many}", "ulimits: {nofile: {soft: 1}}", "logging: none", "depends_on: 3",
        "privileged: 'maybe'", "cap_add: SYS_ADMIN", "container_name: 5",
        "volumes: ['~nosuchuser/x:/y']", "shm_size: large",
        "command: {a: b}",
        "environment: 3", "command: '\"'",
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_type_is_one_clear_line(tmp_path: Path, entry: str) -> None:
    with pytest.raises(UsageError) as raised:
        project(tmp_path, f"services:\n  a:\n    image: x\n    {entry}")
    assert raised.value.what.startswith("compose.yml:4: ")
    assert "\n" not in raised.value.what


@pytest.mark.parametrize("section", ["networks: [a]", "volumes: a", "networks: {a: b}", "volumes: {a: 3}"])
def test_a_section_of_the_wrong_type_is_one_clear_line(tmp_path: Path, section: str) -> None:
    with pytest.raises(UsageError) as raised:
        project(tmp_path, f"services: {{a: {{image: x}}}}\n{section}")
    assert raised.value.what.startswith("compose.yml:2: ")


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ("deploy: {replicas: 2}", "deploy.replicas"),
        ("volumes: [{type: volume, target: /a, volume: {subpath: b}}]", "volumes.volume.subpath"),
        ("links: [b]", "links"),
    ],
)
def test_what_would_be_lost_inside_a_key_is_named_too(tmp_path: Path, entry: str, key: str) -> None:
    text = f"services:\n  a:\n    image: x\n    {entry}\n  b: {{image: x}}\n"
    a, _ = project(tmp_path, text).services
    assert key in a.not_carried


def test_sizes_are_binary_as_compose_reads_them(tmp_path: Path) -> None:
    (a,) = project(tmp_path, "services: {a: {image: x, shm_size: 8gb, mem_limit: 512kb}}").services
    assert (a.body["HostConfig"]["ShmSize"], a.body["HostConfig"]["Memory"]) == (8 * 2**30, 512 * 1024)


def test_a_file_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent.yml does not exist"):
        read_project(ComposeFiles((tmp_path / "absent.yml",)))


def test_hostile_text_in_a_file_does_not_reach_the_message(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        project(tmp_path, 'services: {}\n"\\e]0;PWNED\\a": 1')
    assert "\x1b" not in raised.value.what


@pytest.mark.parametrize(
    ("lines", "gpus", "mechanism"),
    [
        (["devices: ['nvidia.com/gpu=6', '/dev/fuse']"], ("6",), "cdi"),
        (["gpus: [{driver: cdi, device_ids: ['nvidia.com/gpu=0']}]"], ("0",), "cdi"),
        (["gpus: [{driver: cdi, device_ids: ['nvidia.com/gpu=all']}]"], ("all",), "cdi"),
        (["gpus: [{device_ids: ['1']}]"], ("1",), None),
        (["gpus: [{device_ids: ['1']}]", "x-gputui: {mechanism: runtime}"], ("1",), "runtime"),
    ],
)
def test_what_the_file_says_of_cdi_is_read(
    tmp_path: Path, lines: list[str], gpus: tuple[str, ...], mechanism: str | None
) -> None:
    text = "services:\n  llm:\n    image: a\n" + "".join(f"    {line}\n" for line in lines)
    (tmp_path / "compose.yml").write_text(text)
    one = read_project(ComposeFiles((tmp_path / "compose.yml",))).service("llm")
    assert one is not None
    assert (one.gpus, one.mechanism, one.uses_gpus) == (gpus, mechanism, True)
    assert not any("nvidia.com" in str(device) for device in one.body["HostConfig"].get("Devices") or [])


def test_another_vendors_gpu_is_not_taken_for_nvidias(tmp_path: Path) -> None:
    text = "services:\n  llm:\n    image: a\n    gpus: [{driver: amd, count: 1, capabilities: [gpu]}]\n"
    (tmp_path / "compose.yml").write_text(text)
    one = read_project(ComposeFiles((tmp_path / "compose.yml",))).service("llm")
    assert one is not None
    assert (one.gpus, one.gpu_count) == ((), None)
    assert one.not_carried == ("devices (driver amd)",)


@pytest.mark.parametrize("visible", ["none", "void"])
def test_a_variable_that_hides_what_is_asked_for_is_told_with_its_line(tmp_path: Path, visible: str) -> None:
    text = "services:\n  llm:\n    image: a\n    gpus: [{device_ids: ['2']}]\n    environment:\n"
    text += f"      NVIDIA_VISIBLE_DEVICES: {visible}\n"
    (tmp_path / "compose.yml").write_text(text)
    one = read_project(ComposeFiles((tmp_path / "compose.yml",))).service("llm")
    assert one is not None
    assert one.contradiction is not None and one.contradiction.kind == "overridden"
    assert one.contradiction.text.startswith("compose.yml:")
    assert f"NVIDIA_VISIBLE_DEVICES={visible}" in one.contradiction.text
