"""When a service counts as up, what is told of one that is not, and what a person's own removal means."""

import http.server
import select
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab.asked import docker_compose, findings, service, told, words
from tests.lab.conftest import Lab, await_applies, compose_file
from tests.lab.driver import uuid_of, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.sampled]

# Serves nothing, runs a second, says why it ends, and ends.
DIES = 'sleep 1; echo "RuntimeError: CUDA error: no kernel image is available"; exit 1'
ANSWERS_404 = "mkdir -p /empty; exec httpd -f -p 8000 -h /empty"

SERVED = """
name: ai
services:
  llm:
    image: workload:1
    command: ["sh", "-c", '%s']
    %s
    gpus: [{device_ids: ['%s'], capabilities: [gpu]}]
    x-gputui: {vram: 2GiB, backend: vllm, gpus: [%d]}
"""


def apply_where_the_engine_is(lab: Lab, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In the network of the engine, from which containers can be reached as on a server."""
    return subprocess.run(
        ["nsenter", "-t", str(lab.engine.pid), "-n", "--", *lab.command(*arguments)],
        env=lab.environment(), cwd=lab.home, capture_output=True, text=True, check=False, timeout=120,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


@contextmanager
def somebody_answers(status: int) -> Iterator[int]:
    """Another program on this machine that gives every request this answer; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


@contextmanager
def reached_over_the_network(lab: Lab) -> Iterator[str]:
    """The address of the engine as one of another machine."""

    class Forward(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as engine:
                engine.connect(str(lab.engine.socket))
                pair = {self.request: engine, engine: self.request}
                while True:
                    for ready in select.select(list(pair), [], [])[0]:
                        data = ready.recv(65536)
                        if not data:
                            return
                        pair[ready].sendall(data)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Forward) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"tcp://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def assert_taken_back(lab: Lab, done: "subprocess.CompletedProcess[str]") -> None:
    assert done.returncode == 4, (done.stdout, done.stderr)
    assert "no kernel image is available" in done.stdout + done.stderr
    assert lab.names().keys() <= {"other"}


def test_another_program_that_answers_at_its_address_does_not_make_it_well(lab: Lab) -> None:
    """What answers 404 is not the service; that has ended within the time that it was to stay up."""
    lab.engine.run("other", None, command=["sh", "-c", ANSWERS_404], network_mode="host")
    path = compose_file(lab, SERVED % (DIES, "network_mode: host", uuid_of(2), 2))
    assert_taken_back(lab, apply_where_the_engine_is(lab, "--file", str(path), "apply", "--yes", "--settle", "4"))


@pytest.mark.parametrize("status", [404, 200])
def test_the_port_of_a_remote_engine_is_not_asked_for_here(lab: Lab, status: int) -> None:
    """127.0.0.1 is another machine than that of the engine; what answers there says nothing of the service."""
    with somebody_answers(status) as port, reached_over_the_network(lab) as host:
        path = compose_file(lab, SERVED % (DIES, f'ports: ["{port}:8000"]', uuid_of(2), 2))
        file = ("--host", host, "--file", str(path))
        assert_taken_back(lab, lab.gputui(*file, "apply", "--yes", "--settle", "4"))


def test_an_answer_does_not_shorten_the_time_that_it_has_to_stay_up(lab: Lab) -> None:
    """`--settle` is waited for whatever answers: a server may answer, and then run out of memory."""
    command = "mkdir -p /www; echo ok >/www/health; httpd -p 8000 -h /www; sleep 3; echo CUDA out of memory; exit 1"
    path = compose_file(lab, SERVED % (command, "stop_grace_period: 1s", uuid_of(2), 2))
    done = apply_where_the_engine_is(lab, "--file", str(path), "apply", "llm", "--yes", "--settle", "5")
    assert done.returncode == 4, (done.stdout, done.stderr)
    assert "ai-llm-1" not in lab.names()


# --- what failed stays told -----------------------------------------------------------------------------------------

CRASHES = """
name: ai
services:
  llm:
    image: workload:1
    command: ["sh", "-c", 'echo "ValueError: no such model"; exit 3']
    gpus: [{device_ids: ['%s'], capabilities: [gpu]}]
  embed:
    image: workload:1
    gpus: [{device_ids: ['%s'], capabilities: [gpu]}]
  gone:
    image: not-there:1
    pull_policy: never
    gpus: [{device_ids: ['%s'], capabilities: [gpu]}]
"""


def test_a_failed_launch_stays_told_until_it_is_dealt_with(lab: Lab) -> None:
    """An apply of three, two of which cannot come up: a minute later everybody can still see it."""
    path = compose_file(lab, CRASHES % tuple(uuid_of(gpu) for gpu in (0, 1, 2)))
    file = ("--file", str(path))
    done = lab.gputui(*file, "apply", "--yes", "--settle", "1")
    assert done.returncode in (4, 5), (done.stdout, done.stderr)
    for name, said in (("llm", "no such model"), ("gone", "not-there")):
        failed = findings(lab, *file, code="launch-failed", service=name)
        assert failed, name
        assert said in words(failed), "with the last line of its log, or what the engine said"
        assert {one["severity"] for one in failed} <= {"error", "warning"}
    status = lab.gputui(*file, "status")
    assert status.returncode == 1
    assert any("llm" in problem for problem in told(lab, *file, "status")["problems"])
    # Dealt with: it comes up.
    path.write_text(path.read_text().replace("exit 3", "exec /workload").replace("not-there:1", "workload:1"))
    assert lab.gputui(*file, "apply", "--yes", "--settle", "1").returncode == 0
    assert not findings(lab, *file, code="launch-failed")
    assert lab.gputui(*file, "status").returncode == 0


def test_a_service_of_a_file_that_ended_is_found_though_it_was_never_edited(lab: Lab) -> None:
    """What a file says is wanted: that it does not run is not that it is disabled."""
    path = compose_file(lab, CRASHES.replace("exit 3", "exec /workload") % tuple(uuid_of(gpu) for gpu in (0, 1, 2)))
    path.write_text(path.read_text().partition("  gone:")[0])
    file = ("--file", str(path))
    docker_compose(lab, path.parent, "up", "-d")
    for name in ("ai-llm-1", "ai-embed-1"):
        lab.loaded(name)
    assert lab.gputui(*file, "assign", "embed", "--gpus", "4", "--yes").returncode == 0
    assert lab.gputui(*file, "apply", "--yes", "--settle", "0.5").returncode == 0
    await_applies(lab.folder)
    lab.loaded("ai-embed-1")
    assert lab.gputui(*file, "status").returncode == 0
    for name in ("ai-llm-1", "ai-embed-1"):
        lab.engine.client().containers.get(name).kill(signal="SIGKILL")
    wait_for("they ended", lambda: lab.inspect("ai-llm-1")["State"]["Status"] == "exited")
    for name in ("llm", "embed"):
        row = service(lab, name, *file)
        assert (row["state"], row["enabled"]) == ("exited", True)
        ended = findings(lab, *file, code="ended", service=name)
        assert ended and {one["severity"] for one in ended} <= {"error", "warning"}
        assert "137" in words(ended), "with its exit code"
    assert lab.gputui(*file, "status").returncode == 1
    problems = told(lab, *file, "status")["problems"]
    assert all(any(name in problem for problem in problems) for name in ("llm", "embed"))


# --- a person's own removal -----------------------------------------------------------------------------------------


def apply_and_then(lab: Lab, *file: str) -> None:
    assert lab.gputui(*file, "apply", "--yes", "--settle", "0.3").returncode == 0


ONE = """
name: ai
services:
  llm:
    image: workload:1
    stop_grace_period: 1s
    gpus: [{device_ids: ['%s'], capabilities: [gpu]}]
"""


@pytest.mark.parametrize("way", ["rm", "stop and rm", "down", "compose rm"])
def test_what_a_person_removes_right_after_an_apply_stays_away(lab: Lab, way: str) -> None:
    """`apply --yes && docker rm -f`: it is not brought back, for it was no `docker compose up` that took it."""
    path = compose_file(lab, ONE % uuid_of(2))
    file = ("--file", str(path))
    client = lab.engine.client()
    apply_and_then(lab, *file)
    if way == "rm":
        client.containers.get("ai-llm-1").remove(force=True)
    elif way == "stop and rm":
        client.containers.get("ai-llm-1").stop(timeout=1)
        client.containers.get("ai-llm-1").remove()
    elif way == "down":
        docker_compose(lab, path.parent, "down", "-t", "1")
    else:
        docker_compose(lab, path.parent, "rm", "-f", "-s", "llm")
    await_applies(lab.folder)
    assert lab.names() == {}


def test_what_compose_up_takes_away_beside_an_apply_is_replaced_by_its_own(lab: Lab) -> None:
    """The other side of it: a `docker compose up` that makes it anew leaves one that runs."""
    path = compose_file(lab, ONE % uuid_of(2))
    apply_and_then(lab, "--file", str(path))
    docker_compose(lab, path.parent, "up", "-d", "--force-recreate", "-t", "1")
    await_applies(lab.folder)
    assert set(lab.names()) == {"ai-llm-1"}
    assert lab.inspect("ai-llm-1")["State"]["Running"]
    assert lab.nodes("ai-llm-1") == {"nvidia2"}


@pytest.mark.parametrize("seconds", [0, 1, None])
def test_how_long_it_may_take_to_stop_stays_as_it_was(lab: Lab, seconds: int | None) -> None:
    """0 seconds are a choice, and neither the default nor 1."""
    api: Any = lab.engine.client().api
    # Notes when it is asked to end, and does not end.
    script = "trap 'date >>/seen/asked 2>/dev/null || echo asked >>/seen/asked' TERM; while :; do sleep 0.1; done"
    seen = lab.home / "seen"
    seen.mkdir()
    body: dict[str, Any] = {
        "Image": "workload:1", "Cmd": ["sh", "-c", script], "StopSignal": "SIGTERM",
        "HostConfig": {
            "Binds": [f"{seen}:/seen"],
            "DeviceRequests": [{"Driver": "", "DeviceIDs": [uuid_of(0)], "Capabilities": [["gpu"]]}],
        },
    }  # fmt: skip
    if seconds is not None:
        body["StopTimeout"] = seconds
    api.start(api.create_container_from_config(body, name="llm")["Id"])
    assert lab.gputui("assign", "llm", "--gpus", "3", "--yes").returncode == 0
    began = time.monotonic()
    done = lab.gputui("apply", "--yes", "--settle", "0.3")
    took = time.monotonic() - began
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert lab.inspect("llm")["Config"].get("StopTimeout") == seconds
    if seconds is not None:
        assert took < 8
    if seconds == 0:
        assert not Path(seen / "asked").exists() or took < 4


@pytest.mark.parametrize("grace", ["0s", "1s", "500ms"])
def test_how_long_a_service_of_a_file_may_take_to_stop_is_as_compose_says_it(lab: Lab, grace: str) -> None:
    path = compose_file(lab, ONE.replace("stop_grace_period: 1s", f"stop_grace_period: {grace}") % uuid_of(2))
    docker_compose(lab, path.parent, "up", "-d")
    theirs = lab.inspect("ai-llm-1")["Config"].get("StopTimeout")
    docker_compose(lab, path.parent, "down", "-t", "0")
    assert lab.gputui("--file", str(path), "apply", "--yes", "--settle", "0.3").returncode == 0
    assert lab.inspect("ai-llm-1")["Config"].get("StopTimeout") == theirs
