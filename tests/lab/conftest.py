"""The lab, started once for all its tests and cleaned before each."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import pytest

from tests.conftest import why_no_lab
from tests.lab.driver import Driver, StandInGpu, build_library, uuid_of, wait_for
from tests.lab.engine import GROUP, USER, LabEngine, as_user, processes

GPUS = 6
SAMPLE = 2
"""How many parameters of a sampled test are tried each time: a real engine takes seconds for each."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a sample leaves out."""
    if os.environ.get("GPUTUI_WHOLE"):
        return
    random = Random(int(os.environ["GPUTUI_SAMPLE"]))
    by_test: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("sampled"):
            by_test.setdefault(item.nodeid.partition("[")[0], []).append(item)
    chosen = {item.nodeid for several in by_test.values() for item in random.sample(several, min(SAMPLE, len(several)))}
    left_out = {item.nodeid for several in by_test.values() for item in several} - chosen
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in left_out])
    items[:] = [item for item in items if item.nodeid not in left_out]


@dataclass
class Lab:
    """A server with a real engine and stand-in GPUs, and gputui's command as an ordinary user of it."""

    folder: Path
    engine: LabEngine
    driver: Driver
    bin: Path
    state: Path = field(init=False)
    home: Path = field(init=False)
    random: Random = field(default_factory=Random)

    def __post_init__(self) -> None:
        give_folders(self, "home")

    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "LD_LIBRARY_PATH": str(self.folder),
            "DOCKER_HOST": f"unix://{self.engine.socket}",
            "GPUTUI_STATE_DIR": str(self.state),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
        }

    def command(self, *arguments: str) -> list[str]:
        return as_user([str(self.bin / "gputui"), *arguments])

    def gputui(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env={**self.environment(), **variables}, cwd=self.home,
            capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def json(self, *arguments: str) -> Any:
        done = self.gputui(*arguments, "--json")
        assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def inspect(self, ref: str) -> dict[str, Any]:
        return dict(self.engine.client().api.inspect_container(ref))

    def inside(self, ref: str, *command: str) -> str:
        result = self.engine.client().containers.get(ref).exec_run(list(command))
        return bytes(result.output).decode()  # type: ignore[arg-type]

    def process_environment(self, ref: str) -> dict[str, str]:
        """The environment of the container's first process as the kernel has it."""
        pid = self.inspect(ref)["State"]["Pid"]
        lines = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def nodes(self, ref: str) -> set[str]:
        # There is always something in /dev; a busy engine now and then loses all that an exec printed.
        listed = next((names for _ in range(5) if (names := self.inside(ref, "ls", "/dev").split())), [])
        return {name for name in listed if name.startswith("nvidia")}

    def gpus_of(self, ref: str) -> set[str]:
        """The GPUs on which NVML lists the container's processes: asked of the kernel, not of gputui."""
        top = self.engine.client().api.top(ref)
        place = top["Titles"].index("PID")
        return self.driver.claims_of({int(row[place]) for row in top["Processes"]})

    def names(self) -> dict[str, str]:
        return {str(one.name): str(one.id) for one in self.engine.client().containers.list(all=True)}

    def loaded(self, name: str) -> None:
        wait_for(f"{name} loads", lambda: bool(self.gpus_of(name)))


@pytest.fixture(scope="session")
def _server(installed: Path) -> Iterator[Lab]:
    reason = why_no_lab()
    if reason:
        pytest.skip(reason)
    with opened_lab(installed) as lab:
        yield lab


@contextmanager
def opened_lab(installed: Path, options: Callable[[Path], Sequence[str]] = lambda _folder: ()) -> Iterator[Lab]:
    """A lab with an engine of its own, for programs that are no tests, too. `options` are those of the engine, which
    may lay files into its folder for them."""
    folder = Path(tempfile.mkdtemp(prefix="gputui-lab-", dir="/tmp"))
    folder.chmod(0o755)
    engine = LabEngine(folder, options=options(folder))
    driver = Driver(folder)
    try:
        build_library(folder)
        driver.gpus = [StandInGpu(index, uuid_of(index)) for index in range(GPUS)]
        driver.write()
        engine.unpack()
        engine.start()
        engine.make_image("workload:1")
        engine.make_image("cuda-base:1", variables=("NVIDIA_VISIBLE_DEVICES=all",))
        driver.watch()
        yield Lab(folder, engine, driver, installed)
    finally:
        driver.close()
        engine.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def lab(_server: Lab, request: pytest.FixtureRequest) -> Iterator[Lab]:
    server = _server
    seed = int(os.environ.get("GPUTUI_SEED", SystemRandom().randrange(10**6)))
    server.random = Random(seed)
    print(f"GPUTUI_SEED={seed}")
    server.engine.remove_all()
    (server.folder / "hook.fault").unlink(missing_ok=True)
    server.driver.gpus = [StandInGpu(index, uuid_of(index)) for index in range(GPUS)]
    server.driver.extra, server.driver.strangers = [], []
    server.driver.system = "system\tdriver=580.95.05\tcuda=13000"
    server.driver.write()
    give_folders(server, "home")
    yield server
    await_applies(server.folder)
    server.engine.remove_all()


def give_folders(lab: Lab, name: str) -> None:
    """A state and a working folder of this `name` that nobody used before."""
    run = Path(tempfile.mkdtemp(prefix="run-", dir=lab.folder))
    lab.state, lab.home = run / "state", run / name
    for path in (run, lab.state, lab.home):
        path.mkdir(exist_ok=True)
        os.chown(path, USER, GROUP)


def compose_file(lab: Lab, text: str) -> Path:
    """A Compose file of the project `ai` that the user has."""
    folder = lab.home / "ai"
    folder.mkdir(exist_ok=True)
    path = folder / "compose.yml"
    path.write_text(text)
    for one in (folder, path):
        os.chown(one, USER, GROUP)
    return path


def file_with_fallback(lab: Lab, gpu: int, policy: str) -> tuple[str, str]:
    """The option that names a file with one service, on this GPU and with this policy."""
    return "--file", str(compose_file(lab, FALLBACK % (uuid_of(gpu), policy)))


FALLBACK = """
name: ai
services:
  llm:
    image: workload:1
    restart: unless-stopped
    gpus: [{device_ids: ['%s'], capabilities: [gpu]}]
    x-gputui: {vram: 2GiB, fallback: %s}
"""


def await_applies(folder: Path) -> None:
    """An apply looks after what it made for a while after its end; what is taken away meanwhile it brings back."""

    with suppress(TimeoutError):
        wait_for("applies end", lambda: not applies_of(folder), 60)


def applies_of(folder: Path) -> list[int]:
    """The processes of applies in the lab of this folder: other labs may have their own."""
    found = []
    for pid, _, command in processes():
        with suppress(OSError):
            if "carry-out" in command and str(folder).encode() in Path(f"/proc/{pid}/environ").read_bytes():
                found.append(pid)
    return found


@pytest.fixture
def three_services(lab: Lab) -> dict[str, int]:
    """Three services that others started, each on a GPU of its own: name → GPU."""
    places = lab.random.sample(range(GPUS), 3)
    services = dict(zip(("llm", "embed", "rerank"), places, strict=True))
    for name, gpu in services.items():
        lab.engine.run(name, [uuid_of(gpu)], claim_mib=8192)
    for name in services:
        lab.loaded(name)
    return services
