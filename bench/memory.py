"""The memory of the screen on a real engine: 8 GPUs, 20 services of a Compose file, 200x50, all panes opened once."""

import time
from pathlib import Path

from bench.apply import prepared
from tests.conftest import installation
from tests.lab.conftest import opened_lab
from tests.terminal import Terminal

SERVICES = 20
WAITS_S = (10, 20, 30)
PANES = "lvofhwp"


def resident_mib(program: Path) -> float:
    """Of the process that runs this program."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            words = (status.parent / "cmdline").read_bytes().split(b"\0")
            if len(words) > 1 and words[1] == bytes(program):
                line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
                return int(line.split()[1]) / 1024
        except OSError:
            continue
    raise RuntimeError("the screen does not run")


def main() -> None:
    with installation() as binaries, opened_lab(binaries) as lab:
        folder, _ = prepared(lab, SERVICES)
        command = lab.command("--file", str(folder / "compose.json"))
        terminal = Terminal(command, lab.environment(), width=200, height=50)
        try:
            terminal.expect("s7", 30)
            began = time.monotonic()
            for wait in WAITS_S:
                time.sleep(wait)
                print(f"  after {time.monotonic() - began:3.0f} s  {resident_mib(lab.bin / 'gputui'):5.1f} MiB")
            for pane in PANES:
                terminal.keys(pane)
                time.sleep(1)
            print(f"  every pane seen  {resident_mib(lab.bin / 'gputui'):5.1f} MiB")
        finally:
            terminal.kill()


if __name__ == "__main__":
    main()
