"""The screen beside nvitop: the same stand-in NVML, 8 GPUs with moving values, 1 s, 200×50, in one run.

    python bench/screen.py [ROUNDS]

It reports ratios and judges nothing: clocks differ from machine to machine.
"""

import math
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

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


def main() -> None:
    """Run both in turn and print the table."""
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
        stop = threading.Event()
        mover = threading.Thread(target=move, args=(driver, stop))
        mover.start()
        bin_folder = Path(sys.executable).parent
        commands = {
            "nvitop": [str(bin_folder / "nvitop"), "--monitor", "full", "--interval", "1"],
            "gputui": [sys.executable, "-m", "gputui", "--interval", "1"],
        }
        results: dict[str, list[Measured]] = {name: [] for name in commands}
        try:
            for _ in range(rounds):
                for program, command in commands.items():
                    results[program].append(measure(command, b"H100", settle_s=SETTLE_S, window_s=WINDOW_S))
        finally:
            stop.set()
            mover.join()
    report(results)


def report(results: dict[str, list[Measured]]) -> None:
    """Medians, and ours as a ratio of nvitop's."""
    print(f"{'':22}{'nvitop':>12}{'gputui':>12}{'ratio':>8}")
    rows = (
        (
            "first GPU name, s",
            [(one.first_s or math.nan) for one in results["nvitop"]],
            [(one.first_s or math.nan) for one in results["gputui"]],
        ),
        ("CPU, %", [one.cpu_percent for one in results["nvitop"]], [one.cpu_percent for one in results["gputui"]]),
        ("memory, MiB", [one.memory_mib for one in results["nvitop"]], [one.memory_mib for one in results["gputui"]]),
        (
            "bytes per second",
            [one.bytes_per_s for one in results["nvitop"]],
            [one.bytes_per_s for one in results["gputui"]],
        ),
    )
    for name, theirs, ours in rows:
        a, b = statistics.median(theirs), statistics.median(ours)
        print(f"{name:22}{a:12.2f}{b:12.2f}{b / a if a else math.nan:8.2f}")


if __name__ == "__main__":
    main()
