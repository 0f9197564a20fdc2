"""The memory of the screen on a real engine: 8 GPUs, 20 services of a Compose file, 200x50."""

import os

from bench.pty_run import measure
from bench.server import prepared
from tests.conftest import installation
from tests.lab.conftest import opened_lab

SERVICES = 20
SETTLE_S = 5.0
PANES = b"lvofhwp"


def main() -> None:
    """After ten seconds, after a minute, and once every pane was opened."""
    with installation() as binaries, opened_lab(binaries) as lab:
        folder, _ = prepared(lab, SERVICES)
        os.environ.update(lab.environment())
        command = [str(lab.bin / "gputui"), "--file", str(folder / "compose.json")]
        for what, window_s, keys in (("after 10 s", 5.0, b""), ("after 60 s", 55.0, b""), ("panes opened", 5.0, PANES)):
            found = measure(command, b"s7", settle_s=SETTLE_S, window_s=window_s, first_keys=keys)
            print(f"{what:14} {found.memory_mib:6.1f} MiB")


if __name__ == "__main__":
    main()
