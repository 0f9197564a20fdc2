"""gputui in a container of the engine that it looks after, with and without the host's pids."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import Lab
from tests.lab.driver import uuid_of
from tests.lab.engine import GROUP, USER

pytestmark = pytest.mark.lab


def gputui(lab: Lab, *arguments: str, host_pids: bool) -> tuple[int, str]:
    """In a container that has this machine's programs, the engine's socket, and the driver's library."""
    shared = [path for path in ("/usr", "/lib", "/lib64", str(lab.bin.parent)) if Path(path).exists()]
    found = {path: {"bind": path, "mode": "ro"} for path in shared}
    client = lab.engine.client()
    container: Any = client.containers.run(
        "workload:1",
        command=[str(lab.bin / "gputui"), *arguments],
        detach=True,
        pid_mode="host" if host_pids else None,
        user=f"{USER}:{GROUP}",
        working_dir=str(lab.home),
        environment={**lab.environment(), "PATH": "/usr/bin:/bin"},
        volumes={**found, str(lab.folder): {"bind": str(lab.folder), "mode": "rw"}},
    )
    code = container.wait(timeout=60)["StatusCode"]
    output = container.logs(stdout=True, stderr=True).decode()
    container.remove()
    return int(code), output


@pytest.mark.parametrize("host_pids", [True, False], ids=["with the host's pids", "with pids of its own"])
def test_it_knows_whose_the_processes_are(lab: Lab, host_pids: bool) -> None:
    lab.engine.run("llm", [uuid_of(3)], claim_mib=8192)
    lab.loaded("llm")
    code, output = gputui(lab, "services", "--json", host_pids=host_pids)
    assert code == 0, output
    (service,) = (one for one in json.loads(output)["services"] if one["name"] == "llm")
    assert service["running_on"] == [uuid_of(3)]
    assert service["requested"] == [uuid_of(3)]
    assert service["drift"] == []


@pytest.mark.parametrize("host_pids", [True, False], ids=["with the host's pids", "with pids of its own"])
def test_a_service_is_moved_from_inside_a_container(lab: Lab, host_pids: bool) -> None:
    lab.engine.run("llm", [uuid_of(3)], claim_mib=8192)
    lab.loaded("llm")
    code, output = gputui(lab, "assign", "llm", "--gpus", "5", "--yes", host_pids=host_pids)
    assert code == 0, output
    code, output = gputui(lab, "apply", "--yes", "--settle", "1.5", host_pids=host_pids)
    assert code == 0, output
    lab.loaded("llm")
    assert lab.nodes("llm") == {"nvidia5"}
    assert lab.gpus_of("llm") == {"5"}
    assert "its process is on GPU 5" in output or "not using the GPU yet" in output
