"""A server to measure on: a real engine with services of a Compose file, and stand-in GPUs whose values all move."""

import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.conftest import Lab
from tests.lab.driver import Driver, StandInGpu, uuid_of
from tests.lab.engine import GROUP, USER, as_user


@dataclass(frozen=True, slots=True)
class Gpus:
    """So many GPUs, each cut into so many MIG instances."""

    number: int = 8
    instances: int = 0

    @property
    def uuids(self) -> list[str]:
        """Of what can be assigned."""
        if not self.instances:
            return [uuid_of(index) for index in range(self.number)]
        return [_instance_uuid(index, place) for index in range(self.number) for place in range(self.instances)]

    def read(self, driver: Driver, now: float) -> None:
        """Give the driver their values at this time: all of them move."""
        driver.gpus = [
            StandInGpu(
                index, uuid_of(index), util=int(50 + 45 * math.sin(now / 3 + index)),
                base=int(40_000 + 9_000 * math.sin(now / 7 + index)), temp=int(60 + 9 * math.sin(now / 5 + index)),
                power=int(400_000 + 250_000 * math.sin(now / 3 + index)), clock=1980 - index,
                mig=int(self.instances > 0),
            )
            for index in range(self.number)
        ]  # fmt: skip
        driver.extra = [
            f"mig\t{index}\t{place}\tuuid={_instance_uuid(index, place)}\tname=MIG 1g.10gb\tgi={place + 1}\tci=0"
            f"\tcap={100 + self.instances * index + place}\ttotal=9728\treserved=10"
            f"\tbase={int(5000 + 2000 * math.sin(now / 7 + index + place))}"
            for index in range(self.number)
            for place in range(self.instances)
        ]
        driver.write()


def _instance_uuid(index: int, place: int) -> str:
    return f"MIG-{index:04x}{place:04x}-0000-4000-8000-000000000000"


def compose_text(services: int, uuids: Sequence[str]) -> str:
    """As many services, one GPU each, in turn."""

    def body(uuid: str) -> dict[str, object]:
        request = {"driver": "nvidia", "device_ids": [uuid], "capabilities": ["gpu"]}
        return {
            "image": "workload:1",
            "stop_grace_period": "5s",
            "deploy": {"resources": {"reservations": {"devices": [request]}}},
        }

    return json.dumps({"name": "bench", "services": {f"s{n}": body(uuids[n % len(uuids)]) for n in range(services)}})


def prepared(lab: Lab, services: int, gpus: Gpus = Gpus()) -> tuple[Path, list[str]]:
    """The folder of a Compose project that runs, and the command that brought it up."""
    gpus.read(lab.driver, time.time())
    base = lab.folder / "bench"
    lab.state, lab.home, folder = base / "state", base / "home", base / "home" / "bench"
    for path in (base, lab.state, lab.home, folder):
        path.mkdir()
        os.chown(path, USER, GROUP)
    (folder / "compose.json").write_text(compose_text(services, gpus.uuids))
    compose = lab.folder / "bin" / "docker-compose"
    package = next(Path(sys.executable).parents[1].glob("lib/python3*/site-packages/compose"))
    shutil.copy(max((one for one in package.rglob("*") if one.is_file()), key=lambda one: one.stat().st_size), compose)
    compose.chmod(0o755)
    up = [str(compose), "-f", "compose.json", "up", "-d"]
    run(lab, folder, up)
    return folder, up


def run(lab: Lab, folder: Path, command: list[str]) -> float:
    path = f"{lab.folder / 'bin'}:{lab.environment()['PATH']}"
    began = time.monotonic()
    done = subprocess.run(
        as_user(command), cwd=folder, env={**lab.environment(), "PATH": path},
        capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL, timeout=300,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{command}: {done.returncode} {done.stdout[-2000:]} {done.stderr[-2000:]}")
    return time.monotonic() - began


@contextmanager
def moving(driver: Driver, gpus: Gpus) -> Iterator[None]:
    """Every value of every GPU changes every second, as on a busy server."""
    stop = threading.Event()

    def move() -> None:
        while not stop.wait(1.0):
            gpus.read(driver, time.time())

    mover = threading.Thread(target=move)
    mover.start()
    try:
        yield
    finally:
        stop.set()
        mover.join()
