"""A server to measure on: a real engine with services of a Compose file, and stand-in GPUs whose values all move."""

import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.conftest import Lab
from tests.lab.driver import Driver, StandInGpu, uuid_of
from tests.lab.engine import GROUP, USER, as_user

GPUS = 8


def compose_text(services: int) -> str:
    """As many services, one GPU each, in turn."""

    def body(gpu: int) -> dict[str, object]:
        request = {"driver": "nvidia", "device_ids": [uuid_of(gpu)], "capabilities": ["gpu"]}
        return {
            "image": "workload:1",
            "stop_grace_period": "5s",
            "deploy": {"resources": {"reservations": {"devices": [request]}}},
        }

    return json.dumps({"name": "bench", "services": {f"s{one}": body(one % GPUS) for one in range(services)}})


def prepared(lab: Lab, services: int) -> tuple[Path, list[str]]:
    """The folder of a Compose project that runs, and the command that brought it up."""
    lab.driver.gpus = [StandInGpu(index, uuid_of(index)) for index in range(GPUS)]
    lab.driver.write()
    base = lab.folder / "bench"
    lab.state, lab.home, folder = base / "state", base / "home", base / "home" / "bench"
    for path in (base, lab.state, lab.home, folder):
        path.mkdir()
        os.chown(path, USER, GROUP)
    (folder / "compose.json").write_text(compose_text(services))
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
def moving(driver: Driver) -> Iterator[None]:
    """Every value of every GPU changes every second, as on a busy server."""
    stop = threading.Event()
    mover = threading.Thread(target=_move, args=(driver, stop))
    mover.start()
    try:
        yield
    finally:
        stop.set()
        mover.join()


def _move(driver: Driver, stop: threading.Event) -> None:
    while not stop.wait(1.0):
        now = time.time()
        driver.gpus = [
            StandInGpu(
                index, uuid_of(index), util=int(50 + 45 * math.sin(now / 3 + index)),
                base=int(40_000 + 9_000 * math.sin(now / 7 + index)), temp=int(60 + 9 * math.sin(now / 5 + index)),
                power=int(400_000 + 250_000 * math.sin(now / 3 + index)), clock=1980 - index,
            )
            for index in range(GPUS)
        ]  # fmt: skip
        driver.write()
