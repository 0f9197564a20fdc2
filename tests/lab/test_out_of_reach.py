"""gputui where NVML is out of reach, as in a container without the driver: a container of its own asks."""

import json
from pathlib import Path

import pytest

from tests.lab.conftest import GPUS, Lab
from tests.lab.driver import uuid_of

pytestmark = pytest.mark.lab


def test_a_container_with_all_gpus_asks_the_driver_and_leaves_nothing(lab: Lab) -> None:
    lab.engine.run("llm", [uuid_of(3)], claim_mib=8192)
    lab.loaded("llm")
    found = lab.gputui("gpus", "--json", LD_LIBRARY_PATH="/nonexistent")
    assert found.returncode == 0, found.stderr
    assert lab.json("gpus")["gpus"][3]["memory_used_mib"] == 8192 + 4
    listed = json.loads(found.stdout)["gpus"]
    assert [one["uuid"] for one in listed] == [uuid_of(index) for index in range(GPUS)]
    assert listed[3]["memory_used_mib"] == 8192 + 4
    assert listed[3]["processes"][0]["service"] == "llm"
    assert listed[0]["compute_capability"] is None, "what cannot be told is unknown"
    assert set(lab.names()) == {"llm"}
    doctor = lab.gputui("doctor", LD_LIBRARY_PATH="/nonexistent").stdout
    assert "readings come from nvidia-smi in a container" in doctor
    assert set(lab.names()) == {"llm"}


def test_nothing_is_started_by_one_who_only_looks(lab: Lab) -> None:
    lab.engine.run("llm", [uuid_of(3)])
    lab.loaded("llm")
    before = lab.engine.client().api.info()["Containers"]
    done = lab.gputui("--readonly", "gpus", LD_LIBRARY_PATH="/nonexistent")
    assert done.returncode == 3
    assert "libnvidia-ml.so.1" in done.stderr
    assert lab.engine.client().api.info()["Containers"] == before


def test_a_socket_in_a_folder_of_somebody_else_is_one_clear_line(lab: Lab, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    done = lab.gputui("services", DOCKER_HOST=f"unix://{tmp_path}/docker.sock")
    assert done.returncode == 3
    assert "no permission on the container engine's socket" in done.stderr
    assert len(done.stderr.splitlines()) == 2
