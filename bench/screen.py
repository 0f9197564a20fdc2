"""The screen beside other monitors on a pty: 8 GPUs with moving values, a real engine with 20 services, 1 s, 200×50.

    python bench/screen.py [ROUNDS]

It reports ratios to nvitop and judges nothing: clocks differ from machine to machine. Each sees all that it can see of
the same server; gputui also without the engine, as nvitop is, and a larger simulated server, whose simulation its
process carries too.
"""

import math
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from bench.peers import SEES_GPUS, Program, peers
from bench.pty_run import Measured, measure
from bench.server import moving, prepared
from tests.conftest import installation
from tests.lab.conftest import Lab, opened_lab

SERVICES = 20
SETTLE_S, WINDOW_S = 4.0, 20.0


def simulated(gpus: int, instances: int, services: int) -> str:
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


def programs(lab: Lab, folder: Path) -> dict[str, Program]:
    """What is measured, by its name: the peers, then gputui on the same server, without its engine, and on a simulated
    server that is larger."""
    gputui = str(lab.bin / "gputui")
    large = lab.folder / "large.yaml"
    large.write_text(simulated(16, 7, 200))
    return {
        **peers(lab.folder),
        "gputui, 20 services": Program((gputui, "--file", str(folder / "compose.json")), SEES_GPUS, key=b"j"),
        "gputui, no engine": Program(("env", f"DOCKER_HOST=unix://{lab.folder}/none.sock", gputui), SEES_GPUS),
        "gputui, 16×7 MIG, 200": Program((gputui, f"--demo={large}"), SEES_GPUS, key=b"j"),
    }


def main() -> None:
    """Run all in turn and print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    results: dict[str, list[Measured]] = {}
    with installation() as binaries, opened_lab(binaries) as lab:
        folder, _ = prepared(lab, SERVICES)
        os.environ.update(lab.environment())
        measured = programs(lab, folder)
        with moving(lab.driver):
            for _ in range(rounds):
                for name, program in measured.items():
                    found = measure(
                        program.command, program.first_text, settle_s=SETTLE_S, window_s=WINDOW_S, key=program.key
                    )
                    results.setdefault(name, []).append(found)
    report(results)


def report(results: Mapping[str, Sequence[Measured]]) -> None:
    """Medians, and each as a ratio of nvitop's."""
    peer = results["nvitop"]
    print(f"{'':24}{'first seen, s':>18}{'CPU, %':>18}{'memory, MiB':>18}{'bytes/s':>18}{'key p95, ms':>12}")
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
