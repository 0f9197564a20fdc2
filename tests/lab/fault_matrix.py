"""The fault matrix: an apply of three services, two of which change places, broken in every way at every request.

What came of it is asked of the engine and the kernel, never of gputui: for each service exactly one container runs, the
old one or the new one; it has that one's GPU (device nodes) and the content of its volumes; its aliases resolve;
nothing is left over; and exit code and history tell what is so.

Besides: what a start of an old container needs is gone, so that nothing may be stopped; and containers are paused, of
which those that are left alone stay so, those that move run, and those that are taken back are paused again.

The whole of it: `make fault-matrix`. A sample is run by the tests.
"""

import argparse
import json
import os
import queue
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import docker.errors

from tests.conftest import installation
from tests.lab.conftest import Lab, opened_lab
from tests.lab.driver import StandInGpu, uuid_of, wait_for
from tests.lab.engine import GROUP, USER, as_user
from tests.lab.fault_proxy import FaultProxy
from tests.terminal import Terminal

SERVICES = 3
GPUS_A_SLOT = 4
SLOTS = 3

AT_REQUEST = ("cut before", "cut after", "500", "kill", "disk", "compose", "compose killed", "hangup", "daemon")
"""What can happen at a request: it is cut before it is forwarded or after it was carried out, answered with 500, the
apply is killed, the disk of the state is full, somebody runs `docker compose up -d`, which may be killed in the middle,
the screen that began the apply gets SIGHUP, the daemon is stopped and started again."""

BESIDE = ("compose", "compose killed")
HALF_MADE = re.compile(r"/[0-9a-f]{12}_(.+)")
"""What `docker compose up` calls the container that is to replace another one, until that is removed."""

AT_START = ("refused", "exits", "exits later", "unhealthy", "oom")
"""What can happen to a new container: the hook refuses it, it ends at once or after 5 s, never becomes healthy, or is
killed for memory."""

LOST = ("lost network", "lost link", "lost device", "lost image")
"""What can be gone that a start of the old container of a service needs, before the apply begins: another container
has the name of the one that lent its network, the container that it is linked to does not run, the node of a device is
gone, nothing names its image. The last is no loss: the engine keeps the image for the container."""

GOES = "device goes"
"""The node of a device goes at a request, before the apply has looked at what a start needs."""

PAUSED = "paused "
"""Before the name of a fault: with two of the services that move paused, and one that is left where it is."""

WITH_PAUSED = tuple(PAUSED + how for how in ("kill", "cut after", "cut before", "500"))
WITH_PAUSED_AT_START = tuple(PAUSED + how for how in ("refused", "exits"))

KINDS = (*AT_REQUEST, *AT_START, "killed at", *LOST, GOES, *WITH_PAUSED, *WITH_PAUSED_AT_START)

KILLS = 200
MOST_RESTARTS = 20
"""Of the engine in a whole run, to be rid of ghosts."""


@dataclass(frozen=True)
class Case:
    """One way to break the apply: at request number `at`, after `at` milliseconds (`killed at`), or in the container of
    service number `at`."""

    how: str
    at: int

    @property
    def paused(self) -> bool:
        return self.how.startswith(PAUSED)

    @property
    def fault(self) -> str:
        """What happens, be it with paused containers or without."""
        return self.how.removeprefix(PAUSED)

    @property
    def service(self) -> int:
        """The number of the service that it is about."""
        return self.at % SERVICES

    def __str__(self) -> str:
        return f"{self.how} {self.at}"


@dataclass
class Outcome:
    """What came of a case. `faults` are what is wrong."""

    case: Case
    seconds: float
    code: int = 0
    fired: bool = True
    recovered_by: str = ""
    faults: list[str] = field(default_factory=list)
    lost: int = 0
    leftovers: int = 0
    said: str = ""


class GhostListed(Exception):
    """The engine lists a container that it knows nothing of any more, and Compose fails on it. This engine may do so
    after two removals at the same time, until it is started again."""


class Slot:
    """A Compose project with GPUs, a state and a proxy of its own, so that several cases run at the same time."""

    def __init__(self, lab: Lab, number: int, random: Random) -> None:
        self.lab, self.number, self.random = lab, number, random
        self.project = f"slot{number}"
        self.gpus = list(range(number * GPUS_A_SLOT, (number + 1) * GPUS_A_SLOT))
        # a and b change places, c moves to a free GPU.
        self.names = tuple(f"{letter}{number}" for letter in "abc")
        self.before = dict(zip(self.names, self.gpus, strict=False))
        self.after = dict(zip(self.names, (self.gpus[1], self.gpus[0], self.gpus[3]), strict=True))
        # It stays where it is, and is paused; so are one of those that change places, and the one that moves alone.
        self.still = f"d{number}"
        self.held = (self.names[0], self.names[2], self.still)
        self.beside = f"beside{number}"
        self.node = Path(f"/dev/gputui-lab-{os.getpid()}-{number}")
        self.folder = lab.folder / self.project
        self.home = self.folder / self.project
        self.state = self.folder / "state"
        self.templates = {paused: self.folder / f"template-{paused}" for paused in (False, True)}
        for path in (self.folder, self.home, *self.templates.values()):
            path.mkdir()
            os.chown(path, USER, GROUP)
        self.socket = self.folder / "proxy.sock"
        self.proxy = FaultProxy(self.socket, lab.engine.socket, USER, GROUP)
        self.requests: dict[bool, int] = {}
        """How many an apply makes: without paused containers, and with them."""
        self.unchecked = 0
        """How many of them come before the first look at what a start needs."""
        self.duration_s = 0.0
        self._mounted = False
        self._beside: threading.Thread | None = None

    # --- setting up -----------------------------------------------------------------------------------------------

    def compose_text(self, case: Case | None) -> str:
        services: dict[str, Any] = {}
        places = {**self.before, self.still: self.gpus[3]} if case is not None and case.paused else self.before
        for number, (name, gpu) in enumerate(places.items()):
            body: dict[str, Any] = {
                "image": "workload:1",
                "restart": "unless-stopped",
                "stop_grace_period": "2s",
                "environment": {"CLAIM_MIB": "256"},
                "volumes": [f"data_{name}:/data", "/anonymous"],
                "networks": {"default": {"aliases": [f"alias-{name}"]}},
                "deploy": {
                    "resources": {
                        "reservations": {
                            "devices": [
                                {
                                    "driver": "nvidia",
                                    "device_ids": [uuid_of(gpu)],
                                    "capabilities": ["gpu"],
                                }
                            ]
                        }
                    }
                },
            }
            if case is not None and case.fault in AT_START and case.at == number:
                body |= self._faulty(case.fault, self.after[name])
            if case is not None and case.how in (*LOST, GOES) and case.service == number:
                self._need(case.how, body)
            services[name] = body
        return json.dumps(
            {"name": self.project, "services": services, "volumes": {f"data_{name}": None for name in services}}
        )

    def _need(self, how: str, body: dict[str, Any]) -> None:
        """Let the service need what is to be gone."""
        match how:
            case "lost network":
                del body["networks"]
                body["network_mode"] = f"container:{self.beside}"
            case "lost link":
                del body["networks"]
                body |= {"network_mode": "bridge", "external_links": [self.beside]}
            case "lost image":
                body["image"] = f"{self.project}-model:1"
            case _:
                body["devices"] = [f"{self.node}:/dev/extra:rwm"]

    @staticmethod
    def _faulty(how: str, gpu: int) -> dict[str, Any]:
        """What makes a service fail on that GPU and nowhere else."""
        there = f"[ -e /dev/nvidia{gpu} ]"
        if how == "unhealthy":
            check = {"test": ["CMD-SHELL", f"! {there}"], "interval": "1s", "timeout": "2s", "retries": 2}
            return {"healthcheck": check}
        script = {
            "exits": f"{there} && exit 3",
            "exits later": f"{there} && sleep 5 && exit 3",
            "oom": f"{there} && tail /dev/zero",
        }.get(how)
        limits = {"mem_limit": "24m"} if how == "oom" else {}
        return {"command": ["sh", "-c", f"{script}; exec /workload"], **limits} if script else {}

    def environment(self, *, proxied: bool) -> dict[str, str]:
        return {
            **self.lab.environment(),
            "DOCKER_HOST": f"unix://{self.socket if proxied else self.lab.engine.socket}",
            "GPUTUI_STATE_DIR": str(self.state),
            "HOME": str(self.home),
        }

    def gputui(self, *arguments: str, proxied: bool = False) -> subprocess.CompletedProcess[str]:
        command = as_user([str(self.lab.bin / "gputui"), "--file", "compose.json", *arguments])
        return subprocess.run(
            command, env=self.environment(proxied=proxied), cwd=self.home, capture_output=True, text=True,
            timeout=120, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def compose(self, *arguments: str, limit_s: float = 120.0) -> str:
        """Run it, and kill it where it takes longer; what it says."""
        command = [str(Path(sys.executable).with_name("docker-compose")), "-f", "compose.json", *arguments]
        with suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                command, cwd=self.home, env=self.environment(proxied=False), check=False, capture_output=True,
                text=True, timeout=limit_s,
            )  # fmt: skip
            return done.stderr
        return "it was killed"

    def listed(self) -> set[str]:
        """The ids of all containers of this slot, by whatever name."""
        client = self.lab.engine.client().api
        found = client.containers(all=True, filters={"label": f"com.docker.compose.project={self.project}"})
        named = [
            one
            for one in client.containers(all=True)
            # One that is linked to has a name below that of whoever is linked to it, too.
            if any(self.project in name for name in one["Names"]) and f"/{self.beside}" not in one["Names"]
        ]
        return {one["Id"] for one in (*found, *named)}

    def containers(self) -> list[dict[str, Any]]:
        """All containers of this slot, by whatever name."""
        inspected = []
        for identity in self.listed():
            with suppress(docker.errors.NotFound):  # a ghost
                inspected.append(self.lab.engine.client().api.inspect_container(identity))
        return inspected

    def set_up(self, case: Case) -> dict[str, dict[str, Any]]:
        """The services run on their first GPUs, and are paused where the case says so; name → inspect data."""
        client = self.lab.engine.client().api
        self._await_end()  # the last one's recovery looks after what it made for a while
        for one in self.containers():
            with suppress(Exception):
                client.remove_container(one["Id"], force=True, v=True)
        if self.listed() and not self.containers():
            raise GhostListed
        self._fresh_state(case)
        self._lay_ground(case)
        (self.home / "compose.json").write_text(self.compose_text(case))
        said = self.compose("up", "-d")
        found = {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in self.containers()}
        names = {*self.names, self.still} if case.paused else set(self.names)
        assert set(found) == names, f"{self.project}: {sorted(found)}: {said[-600:]}"
        assert all(one["State"]["Running"] for one in found.values()), said[-600:]
        for name, one in found.items():
            self.inside(one["Id"], "sh", "-c", f"echo {name} >/data/mark; echo {name} >/anonymous/mark; echo ok")
            nodes = self.nodes(one["Id"])
            assert nodes == {f"nvidia{self.before.get(name, self.gpus[3])}"}, f"{name} was given {nodes}"
        for name in self.held if case.paused else ():
            client.pause(found[name]["Id"])
        return found

    def _lay_ground(self, case: Case) -> None:
        """What the services of the case need besides."""
        self._clear_ground()
        match case.how:
            case "lost network" | "lost link":
                self.lab.engine.run(self.beside, None)
            case "lost image":
                self.lab.engine.make_image(f"{self.project}-model:1", variables=(f"RUN={self.random.random()}",))
            case "lost device" | "device goes":
                os.mknod(self.node, 0o666 | stat.S_IFCHR, os.makedev(1, 3))

    def _clear_ground(self) -> None:
        self.node.unlink(missing_ok=True)
        with suppress(docker.errors.APIError):
            self.lab.engine.client().api.remove_container(self.beside, force=True)

    def _lose(self, case: Case) -> str:
        """What a start of the service needs goes; the name by which a person is to read of it."""
        client = self.lab.engine.client()
        match case.how:
            case "lost network":
                one = client.containers.get(self.beside)
                one.remove(force=True)
                self.lab.engine.run(self.beside, None)
                return str(one.id)[:12]  # the engine keeps no other name of one that is gone
            case "lost link":
                client.containers.get(self.beside).stop(timeout=2)
                return self.beside
            case "lost image":
                client.images.remove(f"{self.project}-model:1", force=True, noprune=True)
            case "lost device" | "device goes":
                self.node.unlink()
        return str(self.node)

    def _fresh_state(self, case: Case) -> None:
        """The state with the assignments saved, on a small disk of its own that can be filled."""
        if self._mounted:
            subprocess.run(["umount", "-l", str(self.state)], check=False)
        self.state.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(self.state)], check=True)
        self._mounted = True
        os.chown(self.state, USER, GROUP)
        for path in self.templates[case.paused].iterdir():
            target = self.state / path.name
            shutil.copy(path, target)
            os.chown(target, USER, GROUP)

    def close(self) -> None:
        self.proxy.close()
        self._clear_ground()
        if self._mounted:
            subprocess.run(["umount", "-l", str(self.state)], check=False)

    def prepare(self) -> None:
        """Save the assignments once, and see how many requests an apply makes and how long it takes."""
        for case in (Case("none", 0), Case(f"{PAUSED}none", 0)):
            self.set_up(case)
            for name, gpu in ({**self.after, self.still: self.gpus[3]} if case.paused else self.after).items():
                done = self.gputui("assign", name, "--gpus", str(gpu), "--yes")
                assert done.returncode == 0, done.stderr
            for path in self.state.iterdir():
                if path.is_file():
                    shutil.copy(path, self.templates[case.paused] / path.name)
            outcome = self.run(case)
            assert not outcome.faults, (outcome.faults, outcome.said)
            if not case.paused:
                self.duration_s = outcome.seconds

    # --- one case -------------------------------------------------------------------------------------------------

    def run(self, case: Case) -> Outcome:
        """Set up, break, recover, judge."""
        before = self.set_up(case)
        outcome = Outcome(case, 0.0)
        fault, fired = self._fault(case)
        lost = self._lose(case) if case.how in LOST else str(self.node)
        self.proxy.reset(fault)
        began = time.monotonic()
        arguments = ["apply", "--yes", "--settle", "6" if case.how == "exits later" else "0.4", "--health-limit", "20"]
        if case.fault == "refused":
            (self.lab.folder / f"hook.refuses.{uuid_of(self.after[self.names[case.at]])}").touch()
        printed = ""
        try:
            if case.how == "hangup":
                self._apply_on_screen(case)
            elif case.how == "killed at":
                self._apply_and_kill(arguments, case.at / 1000)
            else:
                done = self.gputui(*arguments, proxied=True)
                outcome.code, outcome.said = done.returncode, done.stdout[-3000:] + done.stderr
                printed = done.stdout + done.stderr
        finally:
            for left in self.lab.folder.glob(f"hook.refuses.{uuid_of(self.after[self.names[case.service]])}"):
                left.unlink()
        outcome.seconds = time.monotonic() - began
        outcome.fired = fired.is_set() or case.fault in (*AT_START, *LOST, "killed at", "none")
        (self.state / "filler").unlink(missing_ok=True)
        if case.fault == "none":
            self.requests[case.paused] = self.proxy.count
        if case.how == "none":
            self.unchecked = next(place for place, line in enumerate(self.proxy.lines) if "/images/" in line)
        self.proxy.reset(lambda _number, _pid: "forward")
        self._await_end()
        if self._beside is not None:
            self._beside.join()
            self._beside = None
        told = self._recover(outcome)
        if case.paused:
            self._judge_plan(outcome, printed)
        if case.how in LOST[:-1] or (case.how == GOES and outcome.fired):
            self._judge_refusal(outcome, told, lost, printed)
        self._judge(outcome, before, told)
        return outcome

    def _fault(self, case: Case) -> tuple[Callable[[int, int], str], threading.Event]:
        fired = threading.Event()

        def fault(number: int, pid: int) -> str:
            if case.fault not in (*AT_REQUEST, GOES) or number != case.at:
                return "forward"
            if case.how == GOES and any("/images/" in line for line in self.proxy.lines):
                return "forward"  # the apply has looked already
            fired.set()
            match case.fault:
                case "cut before" | "cut after" | "500":
                    return case.how
                case "kill":
                    os.kill(pid, signal.SIGKILL)
                    return "cut before"
                case "disk":
                    self._fill_disk()
                case "compose" | "compose killed":
                    limit_s = 120.0 if case.fault == "compose" else self.random.uniform(0.3, 3.0)
                    self._beside = threading.Thread(target=self.compose, args=("up", "-d"), kwargs={"limit_s": limit_s})
                    self._beside.start()
                    time.sleep(self.random.choice((0.0, 0.3, 1.0, 2.0)))
                case "daemon":
                    self.lab.engine.restart()
                    return "cut before"
                case "hangup":
                    self._screen.kill()
                case "device goes":
                    self._lose(case)
            return "forward"

        return fault, fired

    def _fill_disk(self) -> None:
        with suppress(OSError), (self.state / "filler").open("wb") as stream:
            while True:
                stream.write(bytes(4096))
                stream.flush()

    def _apply_and_kill(self, arguments: Sequence[str], after_s: float) -> None:
        """Kill the apply so long after it began; how it began is up to the command."""
        command = as_user([str(self.lab.bin / "gputui"), "--file", "compose.json", *arguments])
        process = subprocess.Popen(
            command, env=self.environment(proxied=True), cwd=self.home, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        pid = None
        while pid is None and process.poll() is None:
            pid = self._apply_pid()
            time.sleep(0.005)
        time.sleep(after_s)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(120)

    def _apply_pid(self) -> int | None:
        """The process of the newest apply, also while it looks after what it made; one that stands by is none yet."""
        path = self.state / "state.sqlite3"
        if not path.exists():
            return None
        with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=10)) as connection:
            row = connection.execute("SELECT pid FROM applies ORDER BY id DESC").fetchone()
            return row[0] if row and row[0] and Path(f"/proc/{row[0]}").exists() else None
        return None

    def _apply_on_screen(self, case: Case) -> None:
        """Begin the apply on a screen, which is hung up in the middle of it."""
        command = as_user([str(self.lab.bin / "gputui"), "--file", "compose.json"])
        self._screen = Terminal(command, self.environment(proxied=True))
        try:
            self._screen.expect(f"recreate {self.names[0]}", 30)
            self._screen.keys("a")
            self._screen.expect("Carry this out", 30)
            self._screen.keys("y")
            wait_for("the apply begins", lambda: self.proxy.count >= 1, 30)
            wait_for("the request comes, or the end", lambda: self.proxy.count >= case.at or self._is_over(), 60)
        finally:
            self._screen.kill()

    def _is_over(self) -> bool:
        return self._apply_pid() is None

    def _await_end(self) -> None:
        wait_for("the apply ends", self._is_over, 90)

    def _recover(self, outcome: Outcome) -> dict[str, Any]:
        """As the next command of any operator offers it; what history then says of the apply."""
        history = self._history()
        last = history["applies"][0] if history["applies"] else None
        if last is None or last["result"] not in ("cut off", "failed", "running"):
            return last or {"services": {}, "result": "none"}
        how = self.random.choice((("rollback", "--yes"), ("apply", "--resume", "--yes", "--settle", "0.4")))
        done = self.gputui(*how)
        if done.returncode == 2 and "was being rolled back" in done.stderr:
            how = ("rollback", "--yes")
            done = self.gputui(*how)
        outcome.recovered_by = f"{' '.join(how[:2])}: {done.returncode}"
        outcome.said += done.stdout[-3000:] + done.stderr
        return dict(next(iter(self._history()["applies"])))

    def _history(self) -> dict[str, Any]:
        done = self.gputui("history", "--json")
        return dict(json.loads(done.stdout)) if done.returncode == 0 else {"applies": []}

    # --- judging --------------------------------------------------------------------------------------------------

    def inside(self, ref: str, *command: str) -> str:
        """What a command prints inside. Now and then this engine loses all of it, and is asked again."""
        for _ in range(4):
            result = self.lab.engine.client().containers.get(ref).exec_run(list(command))
            said = bytes(result.output).decode(errors="replace")  # type: ignore[arg-type]
            if said:
                break
        return said

    def nodes(self, ref: str) -> set[str]:
        """The GPU device nodes inside."""
        return {node for node in self.inside(ref, "ls", "/dev").split() if node.startswith("nvidia")}

    def _judge_plan(self, outcome: Outcome, printed: str) -> None:
        """The plan names those that are paused and move, and no other."""
        for name in (*self.names, self.still):
            if (f"{name} is paused" in printed) != (name in self.held and name != self.still):
                outcome.faults.append(f"{name}: the plan {'names' if f'{name} is paused' in printed else 'hides'} it")

    def _judge_refusal(self, outcome: Outcome, told: dict[str, Any], lost: str, printed: str) -> None:
        """What is gone was named; and the apply was not begun, or, where it went later, taken back."""
        expected = (4, "rolled_back") if outcome.case.how == GOES else (2, "none")
        if (outcome.code, told["result"]) != expected:
            outcome.faults.append(f"exit code {outcome.code}, history says {told['result']}")
        if lost not in printed:
            outcome.faults.append(f"nothing is said of {lost}")

    def _untouched(self, outcome: Outcome) -> tuple[str, ...]:
        """The services that the case must leave as they are."""
        if outcome.case.how in LOST[:-1]:
            return self.names
        if outcome.case.how == GOES and outcome.fired:
            return self.names[2:] if outcome.case.service == 2 else self.names[:2]
        return (self.still,) if outcome.case.paused else ()

    def _judge(self, outcome: Outcome, before: dict[str, dict[str, Any]], told: dict[str, Any]) -> None:
        wait_for("restarting containers settle", self._settled, 30)
        found = [one for one in self.containers() if not self._is_half_made(outcome.case, one)]
        for name, was in before.items():
            if name in self._untouched(outcome):
                self._judge_untouched(outcome, name, found, was)
            else:
                self._judge_service(outcome, name, found, was, told["services"].get(name))
        if len(found) != len(before):
            outcome.leftovers += max(0, len(found) - len(before))
            outcome.faults.append(f"containers: {sorted(one['Name'] for one in found)}")
        if told["result"] in ("cut off", "running"):
            outcome.faults.append(f"history says {told['result']}")
        expected = {"done": 0, "rolled_back": 4}.get(told["result"])
        has_code = not outcome.recovered_by and outcome.case.how not in ("hangup", "killed at")
        if has_code and expected not in (None, outcome.code):
            outcome.faults.append(f"exit code {outcome.code}, history says {told['result']}")

    def _is_half_made(self, case: Case, one: dict[str, Any]) -> bool:
        """What a `docker compose up` that failed leaves by itself, and its next one clears up."""
        made = HALF_MADE.fullmatch(one["Name"])
        is_ours = any(label.startswith("io.gputui.") for label in one["Config"]["Labels"])
        return case.how in BESIDE and made is not None and one["State"]["Status"] == "created" and not is_ours

    def _settled(self) -> bool:
        return all(one["State"]["Status"] not in ("restarting", "removing") for one in self.containers())

    def _running(self, outcome: Outcome, name: str, found: list[dict[str, Any]]) -> dict[str, Any] | None:
        """The one container of the service that runs; None where there is not just one."""
        mine = [one for one in found if one["Config"]["Labels"].get("com.docker.compose.service") == name]
        running = [one for one in mine if one["State"]["Running"]]
        if len(running) != 1:
            outcome.lost += not running
            states = [(one["Name"], one["State"]["Status"]) for one in mine]
            outcome.faults.append(f"{name}: {len(running)} containers run: {states}")
            return None
        return running[0]

    def _judge_untouched(
        self, outcome: Outcome, name: str, found: list[dict[str, Any]], before: dict[str, Any]
    ) -> None:
        one = self._running(outcome, name, found)
        if one is None:
            return
        is_held = outcome.case.paused and name in self.held
        for what, is_so in {
            "it was made anew": one["Id"] != before["Id"],
            "it was started again": one["State"]["StartedAt"] != before["State"]["StartedAt"],
            "it is paused" if not is_held else "it is not paused any more": one["State"]["Paused"] != is_held,
            f"it is called {one['Name']}": one["Name"] != before["Name"],
            "its restart policy changed": one["HostConfig"]["RestartPolicy"] != before["HostConfig"]["RestartPolicy"],
        }.items():
            if is_so:
                outcome.faults.append(f"{name}: {what}")
        # Inside nothing can be asked: one that is paused, or has a link that is down, takes no `exec`.
        gpus = self.lab.gpus_of(one["Id"])
        if gpus != {str(self.before.get(name, self.gpus[3]))}:
            outcome.faults.append(f"{name}: it is on {sorted(gpus)}")

    def _judge_service(
        self, outcome: Outcome, name: str, found: list[dict[str, Any]], before: dict[str, Any], told: str | None
    ) -> None:
        def wrong(text: str) -> None:
            outcome.faults.append(f"{name}: {text}")

        one = self._running(outcome, name, found)
        if one is None:
            return
        if one["Name"] != f"/{self.project}-{name}-1":
            wrong(f"it is called {one['Name']}")
        (request,) = one["HostConfig"]["DeviceRequests"]
        is_new = request["DeviceIDs"] == [uuid_of(self.after[name])]
        gpu = self.after[name] if is_new else self.before[name]
        if request["DeviceIDs"] != [uuid_of(gpu)]:
            wrong(f"it was asked for {request['DeviceIDs']}")
        is_held = outcome.case.paused and name in self.held and not is_new
        if one["State"]["Paused"] != is_held:
            wrong("it is not paused any more" if is_held else "it is paused")
        if one["State"]["Paused"]:
            self.lab.engine.client().api.unpause(one["Id"])  # or it takes no `exec`
        if one["Image"] != before["Image"]:
            wrong("it has another image")
        nodes = self.nodes(one["Id"])
        if nodes != {f"nvidia{gpu}"}:
            wrong(f"it has {sorted(nodes)}, not nvidia{gpu}")
        if one["HostConfig"]["RestartPolicy"]["Name"] != "unless-stopped":
            wrong(f"its restart policy is {one['HostConfig']['RestartPolicy']['Name']}")
        self._judge_inside(outcome, name, one)
        if outcome.case.how in BESIDE:
            return
        if told is not None and is_new != (told == "done"):
            wrong(f"history says {told}; it runs on its {'new' if is_new else 'old'} GPU")
        if not is_new and one["Id"] != before["Id"] and outcome.case.how != "daemon":
            wrong("it is on its old GPU, but not the old container")

    def _judge_inside(self, outcome: Outcome, name: str, one: dict[str, Any]) -> None:
        """It has its volumes, and the others by their names."""
        for place in ("data", "anonymous"):
            # Compose renews what nobody names, where it makes a container from nothing.
            renewed = outcome.case.how in BESIDE and place == "anonymous"
            if not renewed and self.inside(one["Id"], "cat", f"/{place}/mark").strip() != name:
                outcome.faults.append(f"{name}: /{place} lost its content")
        others = [other for other in self.names if other != name]
        for alias in (f"alias-{others[0]}", others[1]):
            answer = self.inside(one["Id"], "nslookup", alias, "127.0.0.11")
            if "can't resolve" in answer or answer.count("Address") < 2:
                outcome.faults.append(f"{name}: {alias} does not resolve: {answer[-200:]}")


def all_cases(slot: Slot, random: Random) -> list[Case]:
    """Every case there is."""
    cases = [Case(how, at) for how in AT_REQUEST for at in range(1, slot.requests[False] + 1)]
    cases += [Case("killed at", int(random.uniform(0, slot.duration_s) * 1000)) for _ in range(KILLS)]
    cases += [Case(how, at) for how in (*AT_START, *LOST, *WITH_PAUSED_AT_START) for at in range(SERVICES)]
    cases += [Case(GOES, at) for at in range(1, slot.unchecked + 1)]
    return cases + [Case(how, at) for how in WITH_PAUSED for at in range(1, slot.requests[True] + 1)]


def run_cases(
    slots: Sequence[Slot], cases: Sequence[Case], until: float | None, tell: Callable[[Outcome], None]
) -> list[Outcome]:
    """Run the cases, several at a time; those that stop the daemon by themselves, at the end."""
    outcomes: list[Outcome] = []
    lock = threading.Lock()
    haunted, restarts = threading.Event(), 0

    def has_time() -> bool:
        return until is None or time.monotonic() < until

    def work(slot: Slot, waiting: "queue.SimpleQueue[Case]") -> None:
        while has_time() and not haunted.is_set():
            try:
                case = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                outcome = slot.run(case)
            except GhostListed:
                waiting.put(case)
                haunted.set()
                return
            except Exception as error:  # a case that cannot be judged is a case that failed
                outcome = Outcome(case, 0.0, faults=[f"{type(error).__name__}: {str(error)[:300]}"])
            with lock:
                outcomes.append(outcome)
                tell(outcome)

    for shared in (True, False):
        waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
        for case in cases:
            if (case.how != "daemon") == shared:
                waiting.put(case)
        while has_time() and not waiting.empty():
            threads = [threading.Thread(target=work, args=(slot, waiting)) for slot in (slots if shared else slots[:1])]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if haunted.is_set():
                restarts += 1
                assert restarts <= MOST_RESTARTS, "the engine goes on listing what it knows nothing of"
                slots[0].lab.engine.restart()
                haunted.clear()
    return outcomes


def open_slots(lab: Lab, random: Random, number: int = SLOTS) -> list[Slot]:
    lab.driver.gpus = [StandInGpu(index, uuid_of(index)) for index in range(number * GPUS_A_SLOT)]
    lab.driver.write()
    slots = [Slot(lab, place, Random(random.random())) for place in range(number)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(Slot.prepare, slots))
    return slots


def report(outcomes: Sequence[Outcome]) -> str:
    """The figures: cases, recovered, services lost, leftovers; by kind, and what went wrong."""
    kinds = Counter(outcome.case.how for outcome in outcomes)
    good = Counter(outcome.case.how for outcome in outcomes if not outcome.faults)
    lines = [f"  {kind:17} {good[kind]:4} of {number:4} recovered" for kind, number in sorted(kinds.items())]
    lines += [f"  ✗ {outcome.case}: {'; '.join(outcome.faults)}" for outcome in outcomes if outcome.faults]
    missed = sum(not outcome.fired for outcome in outcomes)
    lost, left = sum(one.lost for one in outcomes), sum(one.leftovers for one in outcomes)
    lines.append(
        f"cases {len(outcomes)} (of which {missed} came after the end), recovered {sum(good.values())}, "
        f"services lost {lost}, leftovers {left}"
    )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="*", default=KINDS)
    parser.add_argument("--only", help="one case, as it is printed: `kill 12`")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    random = Random(arguments.seed)
    with installation() as binaries, opened_lab(binaries) as lab:
        slots = open_slots(lab, random, 1 if arguments.only else SLOTS)
        counts = slots[0].requests
        print(f"{counts[False]} requests, {counts[True]} with paused ones, {slots[0].duration_s:.1f} s for one apply")
        cases = all_cases(slots[0], random)
        if arguments.only:
            how, _, at = arguments.only.rpartition(" ")
            cases = [Case(how, int(at))]
        cases = [case for case in cases if case.how in arguments.kinds]

        def tell(outcome: Outcome) -> None:
            mark = "✗" if outcome.faults else "✓"
            print(f"{mark} {outcome.case} {outcome.seconds:.1f} s {outcome.recovered_by}", flush=True)
            if outcome.faults:
                print(f"   {'; '.join(outcome.faults)}\n   {outcome.said}", flush=True)

        outcomes = run_cases(slots, cases, None, tell)
        for slot in slots:
            slot.close()
    print(report(outcomes))
    return int(any(outcome.faults for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
