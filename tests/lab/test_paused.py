"""A paused container runs: what is done to it says what becomes of the pause."""

import pytest

from tests.lab.asked import chosen, findings, run_of, service, told, words
from tests.lab.conftest import Lab, compose_file
from tests.lab.driver import uuid_of

pytestmark = [pytest.mark.lab, pytest.mark.sampled]

COMPOSE = """
name: ai
services:
  llm: {image: workload:1, gpus: [{device_ids: ['%s'], capabilities: [gpu]}]}
"""


@pytest.fixture(params=["found", "compose"])
def paused(lab: Lab, request: pytest.FixtureRequest) -> tuple[str, tuple[str, ...]]:
    """The name of a paused container on GPU 0, and the options for its Compose file."""
    name, file = "llm", ()
    if request.param == "compose":
        name, file = "ai-llm-1", ("--file", str(compose_file(lab, COMPOSE % uuid_of(0))))  # type: ignore[assignment]
        assert lab.gputui(*file, "apply", "--yes", "--settle", "0.5").returncode == 0
    else:
        lab.engine.run("llm", [uuid_of(0)])
    lab.loaded(name)
    lab.engine.client().containers.get(name).pause()
    return name, file


def test_it_counts_as_enabled_and_not_as_stopped(lab: Lab, paused: tuple[str, tuple[str, ...]]) -> None:
    """home-assistant/core#167446: paused is not off."""
    name, file = paused
    row = service(lab, "llm", *file)
    assert (row["state"], row["enabled"]) == ("paused", True)
    assert not findings(lab, *file, code="ended")
    assert told(lab, *file, "status")["running"] == 1
    assert told(lab, *file, "plan")["steps"] == [], "a plan leaves it paused"
    assert lab.inspect(name)["State"]["Paused"]


def test_a_move_says_what_it_does_with_the_pause(lab: Lab, paused: tuple[str, tuple[str, ...]]) -> None:
    """home-assistant/core#167446: assigned another GPU, a paused service is not just stopped."""
    name, file = paused
    before = run_of(lab, name)
    assert lab.gputui(*file, "assign", "llm", "--gpus", "3", "--yes").returncode == 0
    plan = told(lab, *file, "plan")
    assert [step["action"] for step in plan["steps"]] == ["recreate"]
    said = chosen(plan, "paused", "llm")
    assert said and "paused" in words(said)
    done = lab.gputui(*file, "apply", "--yes", "--settle", "0.5")
    state = lab.inspect(name)["State"]
    if done.returncode == 2:
        assert (run_of(lab, name), state["Paused"]) == (before, True), "refused, and left as it is"
        assert {one["severity"] for one in said} <= {"error", "refusal"}
        return
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert state["Running"]
    (request,) = lab.inspect(name)["HostConfig"]["DeviceRequests"]
    assert request["DeviceIDs"] == [uuid_of(3)]
    assert set(lab.names()) == {name}


def test_a_failed_move_leaves_it_paused_as_it_was(lab: Lab, paused: tuple[str, tuple[str, ...]]) -> None:
    """The old one is back as it was: paused, where that was what it was."""
    name, file = paused
    assert lab.gputui(*file, "assign", "llm", "--gpus", "3", "--yes").returncode == 0
    refuses = lab.folder / f"hook.refuses.{uuid_of(3)}"
    refuses.touch()
    try:
        done = lab.gputui(*file, "apply", "--yes", "--settle", "0.5")
    finally:
        refuses.unlink()
    found = lab.inspect(name)
    assert found["State"]["Running"]
    assert found["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] == [uuid_of(0)]
    assert done.returncode in (2, 4), (done.stdout, done.stderr)
    if done.returncode == 2:
        assert found["State"]["Paused"]


def test_a_pause_alone_is_lifted_by_start_and_kept_by_an_apply_of_others(
    lab: Lab, paused: tuple[str, tuple[str, ...]]
) -> None:
    """The engine refuses to start what is paused; to go on with it is what was meant."""
    name, file = paused
    lab.engine.run("embed", [uuid_of(1)])
    lab.loaded("embed")
    assert lab.gputui(*file, "assign", "embed", "--gpus", "2", "--yes").returncode == 0
    assert lab.gputui(*file, "apply", "--yes", "--settle", "0.5").returncode == 0
    assert lab.inspect(name)["State"]["Paused"]
    identity = run_of(lab, name)
    done = lab.gputui(*file, "start", "llm", "--yes", "--settle", "0.5")
    assert done.returncode == 0, (done.stdout, done.stderr)
    state = lab.inspect(name)["State"]
    assert (state["Running"], state["Paused"]) == (True, False)
    assert run_of(lab, name) == identity, "it goes on where it was"
