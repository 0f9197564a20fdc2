"""The first journey by command line alone, judged from the engine and the kernel."""

import json

import pytest

from tests.lab.conftest import GPUS, Lab
from tests.lab.driver import uuid_of
from tests.lab.judgement import assert_moved

pytestmark = pytest.mark.lab


def test_an_untouched_server_has_nothing_to_do(lab: Lab, three_services: dict[str, int]) -> None:
    plan = lab.json("plan")
    assert plan["steps"] == []
    listed = {one["name"]: one for one in lab.json("services")["services"]}
    assert {name: listed[name]["assigned_indices"] for name in three_services} == {
        name: [gpu] for name, gpu in three_services.items()
    }
    assert all(one["running_on"] == one["assigned"] for one in listed.values())


def test_a_service_moves_to_another_gpu_and_nothing_else_is_touched(lab: Lab, three_services: dict[str, int]) -> None:
    name = lab.random.choice(sorted(three_services))
    target = lab.random.choice([gpu for gpu in range(GPUS) if gpu not in three_services.values()])
    before = lab.names()
    print(f"move {name} from {three_services[name]} to {target}")

    refused = lab.gputui("assign", name, "--gpus", str(target))
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert lab.json("plan")["steps"] == []

    done = lab.gputui("assign", name, "--gpus", str(target), "--yes")
    assert done.returncode == 0, done.stderr
    (step,) = lab.json("plan")["steps"]
    assert (step["action"], step["service"], step["gpus"]) == ("recreate", name, [uuid_of(target)])
    assert step["cause"] == f"GPUs {three_services[name]} → {target}"

    applied = lab.gputui("apply", "--yes", "--json", "--settle", "1")
    assert applied.returncode == 0, (applied.stdout, applied.stderr)
    last = json.loads(applied.stdout.splitlines()[-1])
    assert (last["result"], last["services"]) == ("done", {name: "done"})

    assert_moved(lab, name, target, before)
    after = lab.names()

    again = lab.gputui("apply", "--yes")
    assert (again.returncode, again.stdout.strip()) == (0, "nothing to do")
    assert lab.names() == after


@pytest.mark.parametrize(("order", "inside"), [("2,0", "1,0"), ("5,0,2", "2,0,1")])
def test_the_order_of_the_operator_is_the_order_of_the_process(lab: Lab, order: str, inside: str) -> None:
    lab.engine.run("tp", [uuid_of(1)])
    assert lab.gputui("assign", "tp", "--gpus", order, "--yes").returncode == 0
    applied = lab.gputui("apply", "--yes", "--settle", "1")
    assert applied.returncode == 0, applied.stderr
    chosen = [uuid_of(int(gpu)) for gpu in order.split(",")]
    seen = lab.process_environment("tp")
    assert seen["CUDA_VISIBLE_DEVICES"] == inside
    assert sorted(seen["NVIDIA_VISIBLE_DEVICES"].split(",")) == sorted(chosen)
    assert lab.nodes("tp") == {f"nvidia{gpu}" for gpu in order.split(",")}
    (service,) = lab.json("services")["services"]
    assert service["requested"] == service["assigned"] == chosen


def test_restart_stop_start_and_rollback(lab: Lab, three_services: dict[str, int]) -> None:
    name, home = next(iter(three_services.items()))
    target = next(gpu for gpu in range(GPUS) if gpu not in three_services.values())
    original = lab.names()[name]

    started = lab.inspect(name)["State"]["StartedAt"]
    assert lab.gputui("restart", name, "--yes", "--settle", "1").returncode == 0
    assert lab.names()[name] == original
    assert lab.inspect(name)["State"]["StartedAt"] != started

    assert lab.gputui("stop", name, "--yes").returncode == 0
    assert lab.inspect(name)["State"]["Status"] == "exited"
    assert lab.gputui("start", name, "--yes", "--settle", "1").returncode == 0
    assert lab.inspect(name)["State"]["Status"] == "running"

    assert lab.gputui("assign", name, "--gpus", str(target), "--yes").returncode == 0
    assert lab.gputui("apply", "--yes", "--settle", "1").returncode == 0
    assert lab.nodes(name) == {f"nvidia{target}"}
    rolled = lab.gputui("rollback", "--yes", "--settle", "1")
    assert rolled.returncode == 0, rolled.stderr
    assert lab.nodes(name) == {f"nvidia{home}"}
    reasons = [one["reason"] for one in lab.json("history")["revisions"]]
    assert reasons == ["rollback to revision 1", f"assign {name}", "as found"]
