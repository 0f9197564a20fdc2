"""The screen beside other monitors on a pty: the same stand-in NVML, 8 GPUs with moving values, 1 s, 200×50.

    python bench/screen.py [ROUNDS]

It reports ratios to nvitop and judges nothing: clocks differ from machine to machine. nvtop is measured where it is
installed. gputui runs without an engine there, as nvitop does; then on simulated servers with services, whose
simulation its process carries too.
"""

import math
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.pty_run import Measured, measure
from tests.lab.driver import Driver, StandInGpu, build_library, uuid_of

GPUS = 8
SETTLE_S, WINDOW_S = 4.0, 20.0


def move(driver: Driver, stop: threading.Event) -> None:
    """Every value of every GPU changes every second, as on a busy server."""
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


def server(gpus: int, instances: int, services: int) -> str:
    """A simulated server: so many GPUs, each cut into so many instances, and services on them."""
    listed: list[dict[str, object]] = []
    for index in range(gpus):
        uuid = f"GPU-{index:08d}-0000-4000-8000-{index:012d}"
        bus = f"00000000:{16 + index:02X}:00.0"
        gpu = {"uuid": uuid, "index": index, "minor": index, "name": "NVIDIA H100 80GB HBM3", "pci_bus_id": bus,
               "compute_capability": "9.0", "memory_total_mib": 81559, "mig_enabled": instances > 0}  # fmt: skip
        listed.append({"gpu": gpu, "reserved_mib": 551, "power_limit_w": 700})
        for place in range(instances):
            part = {**gpu, "uuid": f"MIG-{index:04d}{place:04d}-0000-4000-8000-000000000000", "parent_uuid": uuid,
                    "mig_index": place, "mig_enabled": False, "memory_total_mib": 9728, "minor": None}  # fmt: skip
            listed.append({"gpu": part, "reserved_mib": 10, "power_limit_w": 700})
    usable = [one["gpu"]["uuid"] for one in listed if not one["gpu"]["mig_enabled"]]  # type: ignore[index]
    containers = [
        {"name": f"svc-{number:03d}", "image": "vllm/vllm-openai:v0.11.0", "command": ["--model", f"org/m-{number}"],
         "gpus": [usable[number % len(usable)]], "memory_mib": 3000, "load_s": 1, "utilization_percent": 20}
        for number in range(services)
    ]  # fmt: skip
    body = {"title": "bench", "host": "bench", "driver_version": "580", "gpus": listed, "containers": containers}
    return yaml.safe_dump(body)


def programs(folder: Path) -> dict[str, list[str]]:
    """What is measured, by its name; the first is what the others are set beside."""
    bin_folder = Path(sys.executable).parent
    ours = [sys.executable, "-m", "gputui", "--interval", "1"]
    found = {
        "nvitop": [str(bin_folder / "nvitop"), "--monitor", "full", "--interval", "1"],
        "gputui": ours,
    }
    for name, gpus, instances, services in (("gputui, 20 services", 8, 0, 20), ("gputui, 16×7 MIG, 200", 16, 7, 200)):
        path = folder / f"{services}.yaml"
        path.write_text(server(gpus, instances, services))
        found[name] = [*ours, f"--demo={path}"]
    found["gpustat"] = [str(bin_folder / "gpustat"), "-i", "1"]
    nvtop = shutil.which("nvtop")
    if nvtop:
        found["nvtop"] = [nvtop, "-d", "10"]
    return found


def main() -> None:
    """Run all in turn and print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_library(folder)
        driver = Driver(folder, [StandInGpu(index, uuid_of(index)) for index in range(GPUS)])
        driver.strangers = [(str(index), os.getpid(), 1000 + index) for index in range(GPUS)]
        driver.write()
        os.environ["LD_LIBRARY_PATH"] = str(folder)
        os.environ["DOCKER_HOST"] = f"unix://{folder}/none.sock"
        os.environ["GPUTUI_STATE_DIR"] = str(folder / "state")
        os.environ["XDG_STATE_HOME"] = str(folder / "xdg")
        stop = threading.Event()
        mover = threading.Thread(target=move, args=(driver, stop))
        mover.start()
        commands = programs(folder)
        results: dict[str, list[Measured]] = {name: [] for name in commands}
        try:
            for _ in range(rounds):
                for program, command in commands.items():
                    keys = b"j" if program.startswith("gputui,") else b""  # without services it moves nothing
                    results[program].append(measure(command, b"H100", settle_s=SETTLE_S, window_s=WINDOW_S, key=keys))
        finally:
            stop.set()
            mover.join()
    report(results)


def report(results: Mapping[str, Sequence[Measured]]) -> None:
    """Medians, and each as a ratio of nvitop's."""
    peer = results["nvitop"]
    print(f"{'':24}{'first GPU, s':>18}{'CPU, %':>18}{'memory, MiB':>18}{'bytes/s':>18}{'key p95, ms':>12}")
    for name, runs in results.items():
        cells = []
        for value in (_first, _cpu, _memory, _bytes):
            mine, theirs = (statistics.median(value(one) for one in many) for many in (runs, peer))
            ratio = f"{mine / theirs:.2f}×" if theirs else ""
            cells.append(f"{mine:9.2f} {ratio:>8}")
        paint = [one.paint_p95_ms for one in runs if one.paint_p95_ms is not None]
        last = f"{statistics.median(paint):12.0f}" if paint else ""
        print(f"{name:24}" + "".join(cells) + last)


def _first(one: Measured) -> float:
    return one.first_s if one.first_s is not None else math.nan


def _cpu(one: Measured) -> float:
    return one.cpu_percent


def _memory(one: Measured) -> float:
    return one.memory_mib


def _bytes(one: Measured) -> float:
    return one.bytes_per_s


if __name__ == "__main__":
    main()
