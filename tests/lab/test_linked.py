"""Those who name a container that is made anew, by a link or by its network, are not cut off without a word."""

from typing import Any

import pytest

from tests.lab.asked import chosen, docker_compose, run_of, told, words
from tests.lab.conftest import Lab, compose_file
from tests.lab.driver import uuid_of

pytestmark = pytest.mark.lab


def links_of_all(lab: Lab) -> str:
    listed = [lab.inspect(name) for name in lab.names()]
    own = [one["HostConfig"].get("Links") for one in listed]
    networks = [end.get("Links") for one in listed for end in one["NetworkSettings"]["Networks"].values()]
    return str([own, networks])


@pytest.mark.parametrize("network", ["default", "front"])
def test_those_who_link_to_a_moved_container_are_named_and_can_be_started_again(lab: Lab, network: str) -> None:
    """containrrr/watchtower#126: a container with `--link` to one that was made anew cannot be started any more."""
    client = lab.engine.client()
    options: dict[str, Any] = {}
    if network != "default":
        client.networks.create(network)
        options = {"network": network}
    lab.engine.run("llm", [uuid_of(0)], **options)
    if network == "default":
        lab.engine.run("web", None, links={"llm": "llm"})
    else:
        api: Any = client.api
        ends = {network: {"Links": ["llm:model"]}}
        body = {"Image": "workload:1", "HostConfig": {"NetworkMode": network}}
        made = api.create_container_from_config(body | {"NetworkingConfig": {"EndpointsConfig": ends}}, name="web")
        api.start(made["Id"])
    lab.loaded("llm")
    assert lab.gputui("assign", "llm", "--gpus", "3", "--yes").returncode == 0
    plan = told(lab, "plan")
    linked = chosen(plan, "linked-from", "llm")
    done = lab.gputui("apply", "--yes", "--settle", "0.5")
    assert done.returncode in (0, 1), (done.stdout, done.stderr)
    if done.returncode == 1:
        done = lab.gputui("apply", "--yes", "--force", "--settle", "0.5")
        assert done.returncode == 0, (done.stdout, done.stderr)
    assert lab.nodes("llm") == {"nvidia3"}
    assert ".old-" not in links_of_all(lab) and ".new-" not in links_of_all(lab)
    client.containers.get("web").restart(timeout=2)
    assert lab.inspect("web")["State"]["Running"]
    name = "llm" if network == "default" else "model"
    address = next(iter(lab.inspect("llm")["NetworkSettings"]["Networks"].values()))["IPAddress"]
    found = lab.inside("web", "cat", "/etc/hosts") + lab.inside("web", "nslookup", name)
    if network != "default":
        assert address in found, "the name leads to the new one"
        return
    assert linked and {one["severity"] for one in linked} <= {"warning", "error"}
    assert "web" in words(linked)


SIDECAR = """
name: ai
services:
  llm:
    image: workload:1
    stop_grace_period: 1s
    gpus: [{device_ids: ['%s'], capabilities: [gpu]}]
  side:
    image: workload:1
    command: sleep 1d
    stop_grace_period: 1s
    network_mode: service:llm
"""


def test_a_sidecar_in_its_network_moves_with_it_or_what_will_work_is_said(lab: Lab) -> None:
    """qdm12/gluetun#15: what uses the network of a service that is made anew has none any more."""
    path = compose_file(lab, SIDECAR % uuid_of(0))
    file = ("--file", str(path))
    docker_compose(lab, path.parent, "up", "-d")
    lab.loaded("ai-llm-1")
    before = {name: run_of(lab, name) for name in ("ai-llm-1", "ai-side-1")}
    assert lab.gputui(*file, "assign", "llm", "--gpus", "3", "--yes").returncode == 0
    plan = told(lab, *file, "plan")
    done = lab.gputui(*file, "apply", "--yes", "--settle", "0.5")
    if done.returncode == 1:
        assert {name: run_of(lab, name) for name in before} == before
        told_so = chosen(plan, "shared-namespace", "llm")
        assert "side" in words(told_so)
        assert "docker compose" in words(told_so), "a service without a GPU cannot be adopted: what works is named"
        assert lab.gputui(*file, "apply", "--yes", "--force", "--settle", "0.5").returncode == 0
        docker_compose(lab, path.parent, "up", "-d", "--no-deps", "side")
    else:
        assert done.returncode == 0, (done.stdout, done.stderr)
        assert {step["service"] for step in plan["steps"]} == {"llm", "side"}
        assert len({step["unit"] for step in plan["steps"]}) == 1, "one unit"
    assert lab.nodes("ai-llm-1") == {"nvidia3"}
    side = lab.inspect("ai-side-1")
    assert side["State"]["Running"]
    assert side["HostConfig"]["NetworkMode"] == f"container:{lab.names()['ai-llm-1']}"
    # It can be started again, too.
    lab.engine.client().containers.get("ai-side-1").restart(timeout=1)
    assert lab.inspect("ai-side-1")["State"]["Running"]
