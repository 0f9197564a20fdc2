"""Recreating 8 services: `gputui apply` beside `docker compose up -d --force-recreate`, on the same engine.

Wall time of the whole command, as a person waits for it; until the last new container runs; and for how long each
service did not run. Waiting for health is apart: nothing has to settle. Compose does not look whether a container came
up or which GPUs it has, nor keep the old one; gputui does all of this meanwhile.
"""

import fcntl
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bench.server import prepared, run
from gputui.domain import compose_labels
from tests.conftest import installation
from tests.lab.conftest import Lab, opened_lab
from tests.lab.driver import StandInGpu, wait_for

SERVICES = 8
ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Seconds: of the whole command, until the last new container ran, and for how long each service was down."""

    whole: float
    running: float
    down: tuple[float, ...]


FIGURES: tuple[tuple[str, Callable[[Round], float]], ...] = (
    ("the whole command", lambda one: one.whole),
    ("until all new containers run", lambda one: one.running),
    ("a service is down, median of them", lambda one: statistics.median(one.down)),
    ("a service is down, the longest", lambda one: max(one.down)),
)


@contextmanager
def heard(lab: Lab) -> Iterator[list[dict[str, Any]]]:
    """What the engine tells of containers meanwhile."""
    events: list[dict[str, Any]] = []
    stream = lab.engine.client().events(decode=True, filters={"type": "container"})
    threading.Thread(target=lambda: events.extend(iter(stream)), daemon=True).start()
    try:
        yield events
    finally:
        stream.close()


def timed(command: Callable[[], float], events: list[dict[str, Any]]) -> Round:
    """One run of a command that recreates all services."""
    events.clear()
    began = time.time()
    whole = command()
    wait_for("all starts are told", lambda: len(moments(events, "start", max)) == SERVICES)
    stopped, started = moments(events, "die", min), moments(events, "start", max)
    return Round(
        whole=whole, running=max(started.values()) - began, down=tuple(started[one] - stopped[one] for one in started)
    )


def moments(events: Sequence[dict[str, Any]], action: str, which: Callable[..., float]) -> dict[str, float]:
    """When the action happened to each service, in seconds since 1970; the first or the last time."""
    found: dict[str, list[float]] = {}
    for event in list(events):
        if event["Action"] == action:
            found.setdefault(event["Actor"]["Attributes"][compose_labels.SERVICE], []).append(event["timeNano"] / 10**9)
    return {service: which(times) for service, times in found.items()}


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


def measured(lab: Lab) -> tuple[list[Round], list[Round], list[float]]:
    folder, up = prepared(lab, SERVICES)
    # At rest: an apply waits for memory to be freed that no process is seen to hold.
    lab.driver.gpus = [StandInGpu(one.index, one.uuid) for one in lab.driver.gpus]
    lab.driver.write()
    theirs, ours, carried_out = [], [], []
    gputui = [str(lab.bin / "gputui"), "--file", "compose.json"]
    with heard(lab) as events:
        for number in range(ROUNDS):
            theirs.append(timed(lambda: run(lab, folder, [*up, "--force-recreate"]), events))
            for gpu in range(SERVICES):
                run(lab, folder, [*gputui, "assign", f"s{gpu}", "--budget", f"{number + 1}GiB", "--yes"])
            await_lock(lab)
            ours.append(timed(lambda: run(lab, folder, [*gputui, "apply", "--yes", "--settle", "0"]), events))
            carried_out.append(carried_out_s(lab))
    return theirs, ours, carried_out


def main() -> None:
    with installation() as binaries, opened_lab(binaries) as lab:
        theirs, ours, carried_out = measured(lab)
    print(f"recreating {SERVICES} services, median of {ROUNDS} rounds taken in turns, in seconds")
    print(f"{'':44}{'compose':>8}{'gputui':>8}")
    for what, value in FIGURES:
        compose, gputui = (statistics.median(value(one) for one in many) for many in (theirs, ours))
        print(f"  {what:42}{compose:8.2f}{gputui:8.2f}{gputui / compose:8.2f}x")
    print(f"  {'from the record of the apply to its end':42}{'':8}{statistics.median(carried_out):8.2f}")


if __name__ == "__main__":
    main()
