"""Saving: cut off anywhere, and by several operators at once."""

import os
import random
import shutil
import sqlite3
import subprocess
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from tests.lab.conftest import Lab, compose_file
from tests.lab.driver import uuid_of
from tests.lab.engine import GROUP, USER, as_user

pytestmark = pytest.mark.lab

COMPOSE = """
name: ai
services:
  one: {image: workload:1, gpus: [{device_ids: ['%s'], capabilities: [gpu]}]}
  two: {image: workload:1, gpus: [{device_ids: ['%s'], capabilities: [gpu]}]}
"""

WRITES = "write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,link,linkat,ftruncate,fchmod,chmod"
"""The system calls that change something on disk."""


@pytest.fixture
def project(lab: Lab) -> Path:
    return compose_file(lab, COMPOSE % (uuid_of(0), uuid_of(1))).parent


def assign(folder: Path, service: str, gpu: int) -> list[str]:
    return ["--file", str(folder / "compose.yml"), "assign", service, "--gpus", str(gpu), "--yes"]


def agreed(lab: Lab, folder: Path) -> int:
    """The revision of database and files, which must be the same after the next command."""
    looked = lab.gputui("--file", str(folder / "compose.yml"), "status")
    assert looked.returncode in (0, 1), looked.stderr
    revision = int(lab.json("history")["revisions"][0]["revision"])
    assignments = yaml.safe_load((folder / "gpu-assignments.yml").read_text())
    assert assignments["revision"] == revision
    override = (folder / "docker-compose.gpu-override.yml").read_text()
    assert f"revision {revision};" in override
    (given,) = lab.json("history")["revisions"][0]["assignments"]["one"]["gpus"]
    assert given in override
    assert assignments["assignments"]["one"]["uuids"] == [given]
    assert not list(folder.glob(".gputui-new*"))
    return revision


def test_a_save_that_is_killed_between_any_two_writes_leaves_one_revision_everywhere(
    lab: Lab, project: Path, tmp_path: Path
) -> None:
    assert lab.gputui(*assign(project, "one", 2)).returncode == 0
    keep = tmp_path / "keep"
    shutil.copytree(lab.state, keep / "state")
    shutil.copytree(project, keep / "ai")

    def traced(number: int | None, gpu: int, log: Path) -> int:
        """Save with every write traced, and killed at write `number`; -9 where it was."""
        inject = [] if number is None else ["-e", f"inject={WRITES}:signal=KILL:when={number}"]
        command = [
            "strace",
            "-f",
            "-qq",
            "-o",
            str(log),
            "-e",
            f"trace={WRITES}",
            *inject,
            *lab.command(*assign(project, "one", gpu)),
        ]
        return subprocess.run(
            command, env=lab.environment(), cwd=lab.home, capture_output=True, check=False, timeout=120
        ).returncode  # fmt: skip

    assert traced(None, 3, tmp_path / "all") == 0
    writes = len((tmp_path / "all").read_text().splitlines())
    assert writes > 20
    after = {"old": 0, "new": 0}
    numbers = list(range(1, writes + 1))
    lab.random.shuffle(numbers)
    cuts = sorted(numbers[: int(os.environ.get("GPUTUI_CUTS", "25"))])
    for number in cuts:
        for name, target in (("state", lab.state), ("ai", project)):
            shutil.rmtree(target)
            shutil.copytree(keep / name, target)
            for path in (target, *target.rglob("*")):
                os.chown(path, USER, GROUP)
        traced(number, 3, tmp_path / "log")
        revision = agreed(lab, project)
        assert revision in (2, 3), number
        after["new" if revision == 3 else "old"] += 1
    print(f"killed at {len(cuts)} of {writes} writes: {after}")
    assert after["old"] >= 1


def test_two_operators_lose_no_update_and_never_apply_at_the_same_time(lab: Lab, project: Path) -> None:
    file = ("--file", str(project / "compose.yml"))
    assert lab.gputui(*file, "apply", "--yes", "--settle", "0.2").returncode == 0
    for name in ("one", "two"):
        lab.loaded(f"ai-{name}-1")
    rounds = int(os.environ.get("GPUTUI_ROUNDS", "12"))
    wrong: list[str] = []

    def operate(service: str, gpus: tuple[int, int], seed: int) -> None:
        chance = random.Random(seed)
        gpu = 0
        for _ in range(rounds):
            gpu = chance.choice(gpus)
            while True:
                saved = lab.gputui(*assign(project, service, gpu))
                if saved.returncode == 0:
                    break
                if "meanwhile" not in saved.stderr:
                    wrong.append(saved.stderr)
                    return
            if chance.random() < 0.4:
                applied = lab.gputui(*file, "apply", service, "--yes", "--settle", "0.2")
                known = ("is applying", "another apply is running", "meanwhile", "changed")
                if applied.returncode != 0 and not any(text in applied.stderr for text in known):
                    wrong.append(f"{applied.returncode} {applied.stdout[-800:]} {applied.stderr}")
        last[service] = gpu

    last: dict[str, int] = {}
    threads = [
        threading.Thread(target=operate, args=(name, gpus, lab.random.randrange(10**6)))
        for name, gpus in (("one", (0, 2)), ("two", (1, 3)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    newest = lab.json("history")["revisions"][0]["assignments"]
    assert {name: newest[name]["gpus"] for name in last} == {name: [uuid_of(gpu)] for name, gpu in last.items()}
    with sqlite3.connect(lab.state / "state.sqlite3") as database:
        spans = database.execute("SELECT min(at), max(at) FROM events GROUP BY apply_id ORDER BY apply_id").fetchall()
    assert len(spans) >= 2
    for (_, end), (begin, _) in pairwise(spans):
        assert end <= begin, "two applies at the same time"
    agreed(lab, project)


def test_saving_over_a_newer_revision_is_refused_with_the_difference(lab: Lab, project: Path) -> None:
    """A screen holds a draft while somebody else saves another assignment of the same service."""
    script = """
import sys
from gputui.cli.arguments import parse
from gputui.domain.errors import Conflict
from gputui.domain.message import message
from gputui.domain.service import TypedEdit
from gputui import main
arguments = parse(sys.argv[1:])
controller = main._real_server(arguments).controller()
controller.watch.start()
snapshot = controller.watch.wait(15)
one = next(service for service in snapshot.services if service.name == "one")
controller.draft.edit([one.key], TypedEdit(gpus="3"), adopt=True)
input()
try:
    controller.draft.save(message("edited-on-screen"))
except Conflict as conflict:
    print(conflict.what, flush=True)
print(len(controller.watch.snapshot().draft.conflicts), flush=True)
controller.draft.resolve("theirs")
print(controller.draft.save(message("edited-on-screen")).revision, flush=True)
main.os._exit(0)
"""
    file = ("--file", str(project / "compose.yml"))
    command = as_user([str(lab.bin / "python"), "-c", script, *file, "status"])
    screen = subprocess.Popen(
        command, env=lab.environment(), cwd=lab.home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    time.sleep(3)
    assert lab.gputui(*assign(project, "one", 2)).returncode == 0
    said, _ = screen.communicate("\n", timeout=60)
    lines = said.splitlines()
    assert "saved revision 2 meanwhile: one is GPUs 2 now; yours is GPUs 3" in lines[0]
    assert lines[1:] == ["1", "2"], "nothing was left to save after giving in"
