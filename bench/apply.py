"""Recreating 8 services: `gputui apply` beside `docker compose up -d --force-recreate`, on the same engine.

Wall time of the whole command, as a person waits for it. Waiting for health is apart: nothing has to settle. Compose
does not look whether a container came up or which GPUs it has, nor keep the old one; gputui does all of this meanwhile.
"""

import fcntl
import statistics
from datetime import datetime

from bench.server import prepared, run
from tests.conftest import installation
from tests.lab.conftest import Lab, opened_lab

SERVICES = 8
ROUNDS = 5


def carried_out_s(lab: Lab) -> float:
    """Seconds from the record of the newest apply to its end."""
    newest = lab.json("history")["applies"][0]
    began, ended = (datetime.fromisoformat(newest[name]) for name in ("started_at", "ended_at"))
    return (ended - began).total_seconds()


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
