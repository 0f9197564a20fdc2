"""Recreating 8 services: `gputui apply` beside `docker compose up -d --force-recreate`, on the same engine.

Wall time of the whole command, as a person waits for it. Waiting for health is apart: nothing has to settle. Compose
does not look whether a container came up or which GPUs it has, nor keep the old one; gputui does all of this meanwhile.
"""

import fcntl
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

from tests.conftest import installation
from tests.lab.conftest import Lab, opened_lab
from tests.lab.driver import StandInGpu, uuid_of
from tests.lab.engine import GROUP, USER, as_user

SERVICES = 8
GPUS = 8
ROUNDS = 5


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


def carried_out_s(lab: Lab) -> float:
    """Seconds from the record of the newest apply to its end."""
    newest = lab.json("history")["applies"][0]
    began, ended = (datetime.fromisoformat(newest[name]) for name in ("started_at", "ended_at"))
    return (ended - began).total_seconds()


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


def await_lock(lab: Lab) -> None:
    """An apply looks after what it made for some seconds where somebody takes it away, as Compose just did; nobody who
    measures Compose beside gputui needs to wait for that."""
    for path in lab.state.rglob("apply.lock"):
        with path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)


def measured(lab: Lab) -> tuple[list[float], list[float], list[float]]:
    folder, up = prepared(lab, SERVICES)
    theirs, ours, carried_out = [], [], []
    gputui = [str(lab.bin / "gputui"), "--file", "compose.json"]
    for number in range(ROUNDS):
        theirs.append(run(lab, folder, [*up, "--force-recreate"]))
        for gpu in range(SERVICES):
            run(lab, folder, [*gputui, "assign", f"s{gpu}", "--budget", f"{number + 1}GiB", "--yes"])
        await_lock(lab)
        ours.append(run(lab, folder, [*gputui, "apply", "--yes", "--settle", "0"]))
        carried_out.append(carried_out_s(lab))
    return theirs, ours, carried_out


def main() -> None:
    with installation() as binaries, opened_lab(binaries) as lab:
        theirs, ours, carried_out = measured(lab)
    one, other, inner = (statistics.median(each) for each in (theirs, ours, carried_out))
    print(f"recreating {SERVICES} services, median of {ROUNDS} rounds, taken in turns")
    print(f"  docker compose up -d --force-recreate  {one:6.2f} s   ({listed(theirs)})")
    print(f"  gputui apply                           {other:6.2f} s   ({listed(ours)})")
    print(f"  of which from its record to its end    {inner:6.2f} s   ({listed(carried_out)})")
    print(f"  gputui / compose                       {other / one:6.2f} x, from its record {inner / one:.2f} x")


def listed(seconds: list[float]) -> str:
    return ", ".join(f"{each:.2f}" for each in seconds)


if __name__ == "__main__":
    main()
