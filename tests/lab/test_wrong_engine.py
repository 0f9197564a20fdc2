"""Only the engine that was named is ever looked at or changed, and what is not seen is not told as not there."""

import hashlib
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.lab.asked import findings, run_of, told
from tests.lab.conftest import Lab, compose_file
from tests.lab.driver import uuid_of, wait_for
from tests.lab.engine import GROUP, USER
from tests.terminal import Terminal

pytestmark = [pytest.mark.lab, pytest.mark.sampled]

TYPO = "prod-typo"


def on_a_server(lab: Lab, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """gputui where the lab's engine has the socket that is the default, and no variable names one."""
    script = f'mount -t tmpfs run /run && ln -s {lab.engine.socket} /run/docker.sock && exec "$@"'
    environment = {**lab.environment(), **variables}
    if "DOCKER_HOST" not in variables:
        del environment["DOCKER_HOST"]
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", *lab.command(*arguments)],
        env=environment, cwd=lab.home, capture_output=True, text=True, timeout=120, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def write_context(lab: Lab, name: str, host: str, *, current: bool = False) -> None:
    """As `docker context create` does."""
    folder = lab.home / ".docker" / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    body = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}
    (folder / "meta.json").write_text(json.dumps(body))
    if current:
        (lab.home / ".docker" / "config.json").write_text(json.dumps({"currentContext": name}))
    for path in (lab.home / ".docker", *(lab.home / ".docker").rglob("*")):
        os.chown(path, USER, GROUP)


@pytest.mark.parametrize("way", ["--context", "DOCKER_CONTEXT", "currentContext"])
@pytest.mark.parametrize("verb", [("services",), ("assign", "llm", "--gpus", "3", "--yes"), ("apply", "--yes")])
def test_an_unknown_context_is_bad_usage_and_nothing_is_touched(lab: Lab, way: str, verb: tuple[str, ...]) -> None:
    """docker/docker-py#3401: an unknown context falls back to the local engine."""
    lab.engine.run("llm", [uuid_of(0)])
    lab.loaded("llm")
    # An apply would have something to do.
    assert lab.gputui("assign", "llm", "--gpus", "2", "--yes").returncode == 0
    before, revision = run_of(lab, "llm"), told(lab, "status")["revision"]
    options: tuple[str, ...] = ()
    variables: dict[str, str] = {}
    if way == "--context":
        options = ("--context", TYPO)
    elif way == "DOCKER_CONTEXT":
        variables = {"DOCKER_CONTEXT": TYPO}
    else:
        (lab.home / ".docker").mkdir()
        (lab.home / ".docker" / "config.json").write_text(json.dumps({"currentContext": TYPO}))
    done = on_a_server(lab, *options, *verb, **variables)
    assert (run_of(lab, "llm"), lab.nodes("llm")) == (before, {"nvidia0"})
    assert told(lab, "status")["revision"] == revision
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert TYPO in done.stderr


@pytest.mark.parametrize("way", ["--context", "DOCKER_CONTEXT", "currentContext"])
def test_a_context_names_the_engine_that_is_changed(lab: Lab, way: str) -> None:
    """docker/docker-py#3401, the other way round: what is known is used, also by the process that applies."""
    lab.engine.run("llm", [uuid_of(0)])
    lab.loaded("llm")
    write_context(lab, "lab", f"unix://{lab.engine.socket}", current=way == "currentContext")
    options = ("--context", "lab") if way == "--context" else ()
    variables = {"DOCKER_CONTEXT": "lab"} if way == "DOCKER_CONTEXT" else {}
    environment = {key: value for key, value in lab.environment().items() if key != "DOCKER_HOST"}

    def gputui(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            lab.command(*options, *arguments), env={**environment, **variables}, cwd=lab.home,
            capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    assigned = gputui("assign", "llm", "--gpus", "3", "--yes")
    assert assigned.returncode == 0, assigned.stderr
    applied = gputui("apply", "--yes", "--settle", "0.5")
    assert applied.returncode == 0, applied.stderr
    assert lab.nodes("llm") == {"nvidia3"}


def test_docker_host_counts_before_docker_context(lab: Lab) -> None:
    """docker/cli `resolveContextName`: DOCKER_HOST is asked before DOCKER_CONTEXT."""
    lab.engine.run("llm", [uuid_of(0)])
    lab.loaded("llm")
    done = lab.gputui("services", "--json", DOCKER_CONTEXT=TYPO)
    assert done.returncode == 0, done.stderr
    assert [one["name"] for one in json.loads(done.stdout)["services"]] == ["llm"]


COMPOSE = """
name: ai
services:
  llm: {image: workload:1, gpus: [{device_ids: ['%s'], capabilities: [gpu]}], x-gputui: {vram: 2GiB}}
"""


@pytest.fixture
def running(lab: Lab) -> tuple[str, str]:
    file = ("--file", str(compose_file(lab, COMPOSE % uuid_of(3))))
    assert lab.gputui(*file, "apply", "--yes", "--settle", "0.5").returncode == 0
    lab.loaded("ai-llm-1")
    return file


def test_an_engine_that_is_away_leaves_the_rows_as_they_were_last_seen(lab: Lab, running: tuple[str, str]) -> None:
    """Not seen is not told as not there: the rows stay, as last seen, and no draft appears by itself."""
    terminal = Terminal(lab.command(*running), lab.environment())
    try:
        terminal.expect(lambda text: "llm" in text and "running" in text)
        lab.engine.stop()
        try:
            seen = terminal.expect(lambda text: "no engine" in text or "unreachable" in text, limit_s=40)
            time.sleep(3)
            seen = terminal.text
        finally:
            lab.engine.start()
        assert "not created" not in seen
        assert "running" in seen or "exited" in seen, "it may have been seen to end with its engine"
        assert "– → 3" not in seen, "no draft appears by itself"
        assert "unreachable" in seen
    finally:
        terminal.kill()


def test_a_watching_command_tells_that_it_does_not_see_and_not_that_nothing_is_there(
    lab: Lab, running: tuple[str, str]
) -> None:
    """The same for scripts: what was last seen stays, and the status is unhealthy until the engine is back."""
    outputs: dict[str, Path] = {verb: lab.home / f"{verb}.json" for verb in ("services", "status", "findings")}
    watchers = []
    for verb, path in outputs.items():
        command, environment = lab.command(*running, verb, "--json", "--watch"), lab.environment()
        with path.open("w") as out:
            watchers.append(
                subprocess.Popen(command, env=environment, cwd=lab.home, stdout=out, stdin=subprocess.DEVNULL)
            )

    def last(verb: str) -> dict[str, Any]:
        lines = outputs[verb].read_text().splitlines()
        return dict(json.loads(lines[-1])) if lines else {}

    try:
        wait_for("it watches", lambda: all(last(verb) for verb in outputs), 30)
        lab.engine.stop()
        try:
            wait_for("the status tells it", lambda: last("status")["healthy"] is False, 30)
            time.sleep(3)
            (row,) = last("services")["services"]
            status = last("status")
        finally:
            lab.engine.start()
        assert row["state"] in ("running", "exited", None), "as last seen, or unknown; not “not created”"
        assert row["assigned"] == row["requested"] == [uuid_of(3)]
        assert status["services"] == 1
        wait_for("it comes back", lambda: last("status")["engine"] is not None, 30)
    finally:
        for watcher in watchers:
            watcher.kill()
            watcher.wait()
    assert findings(lab, *running, code="not-applied") == []
