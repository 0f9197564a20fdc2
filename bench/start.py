"""How soon the screen shows something, beside another revision of gputui: on a real engine with 20 services.

    python bench/start.py REVISION [ROUNDS]

The time from exec to the first GPU's name, and to the table of services; with `docker compose` on PATH and without. The
two take turns. It judges nothing: clocks differ from machine to machine.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.peers import SEES_GPUS
from bench.pty_run import Measured, measure
from bench.server import prepared
from tests.conftest import REPOSITORY, installation
from tests.lab.conftest import Lab, opened_lab

SERVICES = 20
ROUNDS = 7
SEES_TABLE = b"running"
SETTLE_S = 3.0
GROWN_UP_S = 10.0


@contextmanager
def revision(name: str) -> Iterator[Path]:
    """An installation of another revision."""
    with tempfile.TemporaryDirectory(prefix="gputui-revision-") as folder:
        archive = subprocess.run(["git", "archive", name], cwd=REPOSITORY, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        with installation(Path(folder)) as binaries:
            yield binaries


def started(lab: Lab, binaries: Path, compose: Path, *, with_compose: bool) -> Measured:
    """One start of the screen, with a state of its own that was used before."""
    path = lab.environment()["PATH"].replace(str(lab.bin), str(binaries))
    os.environ.update(lab.environment())
    os.environ["PATH"] = f"{lab.folder / 'bin'}:{path}" if with_compose else path
    os.environ["GPUTUI_STATE_DIR"] = str(lab.folder / f"state-{binaries.parents[1].name}")
    command = (str(binaries / "gputui"), "--file", str(compose))
    return measure(command, SEES_GPUS, settle_s=SETTLE_S, window_s=0.1, whole_text=SEES_TABLE)


def main() -> None:
    """Run all in turn and print the table."""
    other = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    found: dict[tuple[bool, str], list[Measured]] = {}
    with installation() as ours, revision(other) as theirs, opened_lab(ours) as lab:
        folder, _ = prepared(lab, SERVICES)
        time.sleep(GROWN_UP_S)
        for number in range(rounds + 1):
            for with_compose in (False, True):
                both = [("this", ours), (other, theirs)]
                for name, binaries in both if number % 2 else reversed(both):
                    one = started(lab, binaries, folder / "compose.json", with_compose=with_compose)
                    if number:  # the first one makes the state
                        found.setdefault((with_compose, name), []).append(one)
    print(f"{'':44}{'first GPU, s':>14}{'services, s':>14}")
    for with_compose in (False, True):
        medians = {}
        for name in ("this", other):
            runs = found[with_compose, name]
            first = statistics.median(one.first_s or float("nan") for one in runs)
            whole = statistics.median(one.whole_s or float("nan") for one in runs)
            medians[name] = (first, whole)
            what = f"{name}, {'with' if with_compose else 'without'} docker compose"
            print(f"{what:44}{first:14.3f}{whole:14.3f}")
        ratios = [mine / base for mine, base in zip(medians["this"], medians[other], strict=True)]
        print(f"{'':44}" + "".join(f"{ratio:13.2f}×" for ratio in ratios))


if __name__ == "__main__":
    main()
