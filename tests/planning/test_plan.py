"""The plan: what is done, why, and in which order."""

from dataclasses import replace
from typing import Any

import pytest

from gputui.domain.container import LABEL_BUDGET, LABEL_REVISION
from gputui.domain.errors import UsageError
from gputui.domain.finding import DIFFERS, Finding
from gputui.domain.plan import Plan
from gputui.domain.service import Edit, Service, ServiceKey
from gputui.planning.changes.steps import lifecycle_plan, make_plan
from tests.builders import container, gpu, service

HOST = [gpu(index) for index in range(4)]


def plan_of(*services: Service, findings: tuple[Finding, ...] = ()) -> Plan:
    return make_plan(services, HOST, findings, revision=1)


def actions(plan: Plan) -> list[tuple[str, str]]:
    return [(step.action, step.name) for step in plan.doing]


def test_what_runs_as_assigned_needs_nothing() -> None:
    assert actions(plan_of(service("a", HOST[0]), service("b", HOST[1]))) == []


def test_other_gpus_recreate_with_the_cause_and_the_view() -> None:
    (step,) = plan_of(service("a", HOST[0], assigned=(HOST[2].uuid, HOST[1].uuid))).doing
    assert (step.action, step.cause) == ("recreate", "GPUs 0 → 2,1")
    assert step.view is not None
    assert step.view.cuda_visible_devices == "1,0"
    assert "device request: 0 → 2,1" in step.diff


def test_another_order_alone_is_a_change() -> None:
    swapped = service("a", HOST[0], HOST[1], assigned=(HOST[1].uuid, HOST[0].uuid))
    assert actions(plan_of(swapped)) == [("recreate", "a")]


def test_a_found_container_is_left_alone_until_it_is_adopted() -> None:
    assert actions(plan_of(service("a", HOST[0], assigned=(HOST[1].uuid,), adopted=False))) == []


def test_enabled_and_disabled() -> None:
    stopped = container("b", HOST[1], state="exited")
    plan = plan_of(service("a", HOST[0], enabled=False), service("b", HOST[1], container=stopped))
    assert actions(plan) == [("stop", "a"), ("start", "b")]


def test_a_service_of_a_file_is_created() -> None:
    new = service("a", HOST[0], origin="compose", adopted=False, container=None, requested=None)
    assert actions(plan_of(new)) == [("create", "a")]


def test_budget_and_edits_recreate_once() -> None:
    budget = service("a", HOST[0], budget_mib=3584)
    assert [step.cause for step in plan_of(budget).doing] == ["budget none → 3.5 GiB"]
    applied = container("a", HOST[0], labels={LABEL_BUDGET: "3584", LABEL_REVISION: "1"})
    assert actions(plan_of(service("a", HOST[0], budget_mib=3584, container=applied))) == []
    edited = service("a", HOST[0], edits=(Edit(argument="--max-model-len", value="8192"),))
    assert [step.cause for step in plan_of(edited).doing] == ["edit --max-model-len=8192"]


def test_who_leaves_a_gpu_goes_before_who_comes_to_it() -> None:
    comes = service("a", HOST[0], assigned=(HOST[1].uuid,))
    leaves = service("b", HOST[1], assigned=(HOST[2].uuid,))
    stops = service("c", HOST[3], enabled=False)
    assert [name for _, name in actions(plan_of(comes, leaves, stops))] == ["c", "b", "a"]


def test_a_cycle_of_moves_is_still_planned() -> None:
    first = service("a", HOST[0], assigned=(HOST[1].uuid,))
    second = service("b", HOST[1], assigned=(HOST[0].uuid,))
    assert {name for _, name in actions(plan_of(first, second))} == {"a", "b"}


def test_an_error_of_a_service_that_is_not_touched_does_not_stop_the_others() -> None:
    error = Finding(code="gpu-missing", severity="error", text="b", service="b")
    moved = service("a", HOST[0], assigned=(HOST[1].uuid,))
    assert plan_of(moved, service("b", HOST[2], adopted=False), findings=(error,)).findings == ()


def test_only_the_named_services() -> None:
    moved = [service(name, HOST[0], assigned=(HOST[1].uuid,)) for name in ("a", "b")]
    assert actions(make_plan(moved, HOST, (), revision=1, only=["b"])) == [("recreate", "b")]
    with pytest.raises(UsageError, match="no service “c”"):
        make_plan(moved, HOST, (), revision=1, only=["c"])


def test_restart_and_stop_by_name() -> None:
    plan = lifecycle_plan([service("a", HOST[0])], HOST, ["a"], "restart", revision=1)
    assert actions(plan) == [("restart", "a")]
    again = lifecycle_plan([service("a", container=container("a", state="exited"))], HOST, ["a"], "stop", revision=1)
    assert actions(again) == []


def test_what_a_file_says_otherwise_is_told_and_taken_in_when_that_is_asked_for() -> None:
    differing = service("a", HOST[0], file_differences=("image",))
    finding = Finding(severity="info", code=DIFFERS, text="a is differs from its Compose file", service="a")
    told = plan_of(differing, findings=(finding,))
    assert (actions(told), told.untaken) == ([], (finding,))
    taken = make_plan([differing], HOST, (finding,), revision=1, refresh=True)
    assert (actions(taken), taken.untaken) == ([("recreate", "a")], ())


def test_services_that_nobody_adopted_are_made_of_their_file_only_by_name() -> None:
    found = service("a", HOST[0], file_differences=("image",), adopted=False)
    assert actions(make_plan([found], HOST, (), revision=1, refresh=True)) == []
    assert actions(make_plan([found], HOST, (), revision=1, refresh=True, only=["a"])) == [("recreate", "a")]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"not_carried": ("build",)}, "build"),
        ({"key": ServiceKey("host", "ai", "a", 2)}, "one of several"),
        ({"enabled": False, "container": container("a", HOST[0], state="exited")}, "not enabled"),
        ({"file_differences": (), "origin": "compose"}, "as its Compose file says"),
    ],
)
def test_what_cannot_be_made_of_its_file_says_why(values: dict[str, Any], why: str) -> None:
    one = service("a", HOST[0], **{"file_differences": ("image",), **values})
    plan = make_plan([one], HOST, (), revision=1, refresh=True, only=[one.key.full_name])
    assert actions(plan) == []
    assert why in plan.steps[0].cause


def test_a_found_container_that_could_not_be_put_back_is_not_made_anew_of_its_file() -> None:
    running = replace(container("a", HOST[0]), auto_remove=True)
    found = service("a", HOST[0], file_differences=("image",), adopted=False, container=running)
    plan = make_plan([found], HOST, (), revision=1, refresh=True, only=["a"])
    assert [one.code for one in plan.obstacles] == ["auto-remove"]
