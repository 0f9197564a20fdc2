"""The two pairs that the contract is checked on: a simulated server, and the lab's real one."""

import ctypes
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from gputui.domain.container import ContainerSpec
from gputui.domain.gpu import Gpu
from gputui.engine.protocol import Engine
from gputui.gpus.source import GpuSource
from gputui.simulated.scenario import Scenario, SimulatedGpu
from tests.lab.conftest import _server, lab  # noqa: F401 - fixtures
from tests.lab.engine import GROUP, USER


@dataclass(frozen=True)
class Pair:
    """An engine and a source of readings that look at the same server, whose GPUs are idle."""

    engine: Engine
    source: GpuSource

    def spec(self, name: str, gpu: str | None) -> ContainerSpec:
        """A container that claims memory on a GPU, logs, and runs until it is stopped."""
        request = {"Driver": "", "Count": 0, "DeviceIDs": [gpu], "Capabilities": [["gpu"]], "Options": {}}
        host = {"DeviceRequests": [request] if gpu else [], "NetworkMode": "bridge"}
        return ContainerSpec(name=name, body={"Image": "workload:1", "Env": ["CLAIM_MIB=2048"], "HostConfig": host})


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.lab)])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    if request.param == "simulated":
        yield _simulated()
        return
    server = request.getfixturevalue("lab")
    from gputui.engine.docker_engine import DockerEngine
    from gputui.gpus.nvidia.nvml import NvmlSource

    # pynvml asks the loader for the library by its name, and gets the one that is loaded already.
    ctypes.CDLL(str(server.folder / "libnvidia-ml.so.1"), mode=ctypes.RTLD_GLOBAL)
    engine = DockerEngine(f"unix://{server.engine.socket}")
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(GROUP)
    os.seteuid(USER)
    try:
        yield Pair(engine, NvmlSource())
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
        engine.close()


def _simulated() -> Pair:
    from gputui.simulated.gpu_source import SimulatedSource
    from gputui.simulated.simulated_engine import SimulatedEngine

    gpus = tuple(
        SimulatedGpu(
            gpu=Gpu(uuid=f"GPU-{number:08d}", index=number, minor=number, name="H100", memory_total_mib=81559),
            reserved_mib=551,
            power_limit_w=700,
        )
        for number in range(3)
    )
    scenario = Scenario(name="bare", title="bare", host="bare", driver_version="580.95.05", gpus=gpus)
    engine = SimulatedEngine(scenario, speed=40)
    return Pair(engine, SimulatedSource(scenario, engine.claims))
