"""What an engine says of itself, and files of its host, as capabilities."""

import json
from pathlib import Path
from typing import Any

import pytest

from gputui.domain.injection import Capabilities, CdiDevice
from gputui.engine import capabilities as module
from gputui.engine.capabilities import capabilities_of
from gputui.engine.cdi_specs import read_devices

RUNC: dict[str, Any] = {"runc": {}}


@pytest.fixture(autouse=True)
def _no_files_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "TOOLKIT_CONFIG", tmp_path / "config.toml")
    monkeypatch.setattr(module, "CDI_FOLDERS", (str(tmp_path / "cdi"),))


def write_spec(folder: Path, name: str = "nvidia.yaml", kind: str = "nvidia.com/gpu") -> None:
    folder.mkdir(exist_ok=True)
    devices = [
        {"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia0"}, {"path": "/dev/dri/card1"}]}},
        {"name": "all", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia0"}, {"path": "/dev/nvidia1"}]}},
    ]
    (folder / name).write_text(json.dumps({"cdiVersion": "0.5.0", "kind": kind, "devices": devices}))


def docker(same_host: bool = True, **info: Any) -> Capabilities:
    return capabilities_of({"Runtimes": RUNC, **info}, {"Components": [{"Name": "Engine"}]}, same_host=same_host)


def podman(version: str) -> Capabilities:
    return capabilities_of({}, {"Version": version, "Components": [{"Name": "Podman Engine"}]}, same_host=True)


def test_an_old_docker_has_no_cdi_and_does_not_tell_of_its_drivers() -> None:
    can = docker(Runtimes={"runc": {}, "nvidia": {}}, DefaultRuntime="nvidia", CgroupDriver="systemd")
    assert (can.cdi, can.cdi_devices, can.nvidia_driver) == (False, (), None)
    assert (can.runtimes, can.default_runtime, can.cgroup_driver) == (("nvidia", "runc"), "nvidia", "systemd")


def test_docker_26_tells_where_the_specifications_are_and_they_tell_the_devices(tmp_path: Path) -> None:
    write_spec(tmp_path / "cdi")
    can = docker(CDISpecDirs=[str(tmp_path / "cdi")])
    assert can.cdi
    assert can.cdi_devices == (
        CdiDevice("nvidia.com/gpu=0", ("/dev/nvidia0",)),
        CdiDevice("nvidia.com/gpu=all", ("/dev/nvidia0", "/dev/nvidia1")),
    )
    assert docker(CDISpecDirs=[str(tmp_path / "cdi")], same_host=False).cdi_devices is None


def test_docker_28_lists_the_devices_itself() -> None:
    listed = [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}, {"Source": "cdi", "ID": "vendor.com/nic=0"}]
    can = docker(CDISpecDirs=["/nonexistent"], DiscoveredDevices=listed, same_host=False)
    assert can.cdi_devices == (CdiDevice("nvidia.com/gpu=0", None),)


@pytest.mark.parametrize(
    ("version", "too_old"),
    [("4.3.1", "Podman 5.4"), ("5.3.2", "Podman 5.4"), ("5.4.0", None), ("5.10.1-dev", None), ("6.0.0", None)],
)
def test_podman_gives_gpus_from_5_4_on_and_by_cdi_alone(version: str, too_old: str | None, tmp_path: Path) -> None:
    write_spec(tmp_path / "cdi")
    can = podman(version)
    assert (can.too_old, can.nvidia_driver, can.runtimes, can.reports_requests) == (too_old, False, (), False)
    assert can.cdi_devices is not None
    assert len(can.cdi_devices) == 2


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("accept-nvidia-visible-devices-envvar-when-unprivileged = false", False),
        ("#accept-nvidia-visible-devices-envvar-when-unprivileged = false", True),
        ("this is no TOML", None),
    ],
)
def test_the_toolkit_may_ignore_the_variable(text: str, counts: bool | None, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(text)
    assert docker().variable_counts is counts
    assert docker(same_host=False).variable_counts is None


def test_rootless_is_told() -> None:
    assert docker(SecurityOptions=["name=seccomp", "name=rootless"]).rootless


def test_specifications_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "cdi"
    write_spec(folder)
    (folder / "broken.yaml").write_text("kind: [")
    (folder / "binary.json").write_bytes(b"\xff\xfe\x00")
    (folder / "list.yaml").write_text("- 1")
    (folder / "note.txt").write_text("kind: nvidia.com/gpu")
    write_spec(folder, "other.json", kind="vendor.com/nic")
    found = read_devices([str(folder), str(tmp_path / "none")])
    assert found is not None
    assert [device.name for device in found] == ["nvidia.com/gpu=0", "nvidia.com/gpu=all"]
    assert read_devices([str(tmp_path / "none")]) is None
