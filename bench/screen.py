"""The screen beside other monitors on a pty, on real engines with stand-in GPUs whose values all move: 1 s, 200×50.

    python bench/screen.py [ROUNDS]

8 GPUs with 20 services, beside the peers; each sees all that it can see of the server, gputui also without the engine,
as nvitop is. Then 16 GPUs in 112 MIG instances with 200 services. It judges nothing: clocks differ from machine to
machine.
"""

import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.peers import SEES_GPUS, Program, peers
from bench.pty_run import LETTERS, Measured, measure
from bench.server import Gpus, moving, prepared
from tests.conftest import installation
from tests.lab.conftest import Lab, opened_lab

SETTLE_S, WINDOW_S = 4.0, 20.0
GROWN_UP_S = 60.0
"""Services of a server are older than this; those that are younger are looked at anew every two seconds, for a restart
would not be seen by their age."""
USUAL, LARGE = Gpus(8), Gpus(16, instances=7)
SERVICES, MANY = 20, 200
WHOLE = b"[Plan]"
"""What the screen of gputui has and its first lines have not."""


def main() -> None:
    """Run all in turn and print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with installation() as binaries:
        results = on_server(binaries, USUAL, SERVICES, rounds, beside_peers)
        results |= on_server(binaries, LARGE, MANY, rounds, alone)
    report(results)


def beside_peers(lab: Lab, gputui: Program) -> dict[str, Program]:
    """The peers, then gputui with and without the engine."""
    no_engine = ("env", f"DOCKER_HOST=unix://{lab.folder}/none.sock", gputui.command[0])
    return {
        **peers(lab.folder),
        f"gputui, {SERVICES} services": gputui,
        "gputui, no engine": Program(no_engine, SEES_GPUS, whole_text=WHOLE),
    }


def alone(_lab: Lab, gputui: Program) -> dict[str, Program]:
    """Nothing beside it: no peer sees services and instances."""
    return {f"gputui, {MANY} services": gputui}


def on_server(
    binaries: Path, gpus: Gpus, services: int, rounds: int, programs: Callable[[Lab, Program], dict[str, Program]]
) -> dict[str, list[Measured]]:
    """What was measured on a server with so many services, by program."""
    results: dict[str, list[Measured]] = {}
    with opened_lab(binaries) as lab:
        folder, _ = prepared(lab, services, gpus)
        os.environ.update(lab.environment())
        command = (str(lab.bin / "gputui"), "--file", str(folder / "compose.json"))
        time.sleep(GROWN_UP_S)
        gputui = Program(command, SEES_GPUS, LETTERS, WHOLE)
        with moving(lab.driver, gpus):
            for _ in range(rounds):
                for name, program in programs(lab, gputui).items():
                    found = measure(
                        program.command, program.first_text, settle_s=SETTLE_S, window_s=WINDOW_S, keys=program.keys,
                        whole_text=program.whole_text,
                    )  # fmt: skip
                    results.setdefault(name, []).append(found)
    return results


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
        whole = [one.whole_s for one in runs if one.whole_s is not None]
        last += f"   whole screen {statistics.median(whole):.2f} s" if whole else ""
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
