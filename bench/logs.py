"""Following a log that floods: the reader beside `docker logs -f | cat`, and the screen while it does.

    python bench/logs.py

A container writes as fast as it can. First each reader follows it for some seconds: lines for a second of CPU, its own
and its children's. Then gputui follows it on a pty: memory at the beginning and at the end, and the time from a key to
what is drawn next. It reports and judges nothing.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

from bench.pty_run import LETTERS, cpu_s, measure
from tests.conftest import installation
from tests.lab.conftest import Lab, opened_lab
from tests.lab.driver import uuid_of

SECONDS = 15.0
LINE = "INFO:  a request of a client that asks for much - 200 OK"
FLOOD = ["sh", "-c", f"while true; do seq -f '{LINE} %.0f' 1 100000000 || seq 1 100000000; done"]

READER = """
import os, resource, sys, threading, time
from gputui.engine.docker_engine import DockerEngine
from gputui.controller.log_feeds import LogFeed
from gputui.domain.log import LogWindow
feed = LogFeed(DockerEngine(), sys.argv[1], LogWindow(tail=0))
lines, end = 0, time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    time.sleep(0.25)
    batch = feed.take()
    lines += len(batch.lines) + batch.dropped
used = resource.getrusage(resource.RUSAGE_SELF)
print(lines, used.ru_utime + used.ru_stime, flush=True)
os._exit(0)
"""


def ours(lab: Lab, container: str) -> tuple[int, float]:
    """Lines, and seconds of CPU."""
    command = [str(lab.bin / "python"), "-c", READER, container, str(SECONDS)]
    done = subprocess.run(command, env=lab.environment(), capture_output=True, text=True, check=True)
    lines, cpu = done.stdout.split()
    return int(lines), float(cpu)


def theirs(lab: Lab, docker: Path, container: str) -> tuple[int, float]:
    """The same of `docker logs -f | cat`; what comes out of it is counted here."""
    command = f"{docker} logs -f --tail 0 {container} | cat"
    with subprocess.Popen(
        ["sh", "-c", command], env=lab.environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        lines, end = 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            lines += os.read(process.stdout.fileno(), 2**20).count(b"\n")
        used = cpu_s(process.pid)  # while they live: nobody waits for the children of a shell that is killed
        os.killpg(process.pid, signal.SIGTERM)
    return lines, used


def main() -> None:
    """Both readers, then the screen."""
    with installation() as binaries, opened_lab(binaries) as lab:
        lab.engine.run("flood", [uuid_of(0)], command=FLOOD)  # without a GPU it is no service
        environment = lab.environment()
        time.sleep(2)
        read, cpu = ours(lab, "flood")
        print(f"gputui's reader        {read / SECONDS:9.0f} lines/s {read / cpu:9.0f} lines for a second of CPU")
        found = next((path for path in lab.engine.folder.rglob("usr/bin/docker") if path.is_file()), None)
        if found is not None:
            lines, used = theirs(lab, found, "flood")
            print(
                f"docker logs -f | cat   {lines / SECONDS:9.0f} lines/s {lines / used:9.0f} lines for a second of CPU"
            )
            print(f"gputui / docker        {read / cpu / (lines / used):9.2f} x")
        os.environ.update(environment)
        command = [str(lab.bin / "gputui")]
        short, long = (
            measure(command, b"flood", settle_s=5, window_s=seconds, keys=LETTERS, first_keys=b"l\x1b")
            for seconds in (5.0, 60.0)
        )
        print(f"memory after 10 s      {short.memory_mib:9.1f} MiB, after 65 s {long.memory_mib:.1f} MiB")
        print(f"key to paint, p95      {long.paint_p95_ms or 0:9.0f} ms, CPU {long.cpu_percent:.0f} %")


if __name__ == "__main__":
    main()
