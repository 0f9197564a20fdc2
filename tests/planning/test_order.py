"""In which order steps are carried out, and which of them together."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from gputui.domain.plan import Step, StepAction
from gputui.domain.service import ServiceKey
from gputui.planning.changes.container_view import container_view
from gputui.planning.changes.step_order import in_order
from tests.builders import gpu

HOST = [gpu(index) for index in range(4)]


def key(name: str) -> ServiceKey:
    return ServiceKey("host", "", name)


def step(
    name: str,
    holds: Sequence[int] = (),
    wants: Sequence[int] = (),
    *,
    action: StepAction = "recreate",
    needs: Sequence[str] = (),
    shares: Sequence[str] = (),
) -> Step:
    return Step(
        action=action, service=key(name), name=name, cause="",
        view=container_view(HOST, [HOST[one].uuid for one in wants]),
        holds=tuple(HOST[one].uuid for one in holds),
        depends_on=tuple(key(one) for one in needs), shares=tuple(key(one) for one in shares),
    )  # fmt: skip


def units(*steps: Step) -> list[list[str]]:
    ordered = in_order(steps)
    return [[one.name for one in ordered if one.unit == unit] for unit in sorted({one.unit for one in ordered})]


def after(name: str, *steps: Step) -> set[str]:
    return {one.name for one in next(one for one in in_order(steps) if one.name == name).after}


def test_whoever_leaves_a_gpu_comes_before_whoever_comes_to_it() -> None:
    chain = (step("a", [0], [1]), step("b", [1], [2]), step("c", [2], [3]))
    assert units(*chain) == [["c"], ["b"], ["a"]]
    assert after("a", *chain) == {"b"}


def test_services_that_change_places_are_one_unit_and_start_at_the_same_time() -> None:
    swap = (step("a", [0], [1]), step("b", [1], [0]), step("c", [3], [3]))
    assert units(*swap) == [["a", "b"], ["c"]]
    assert after("a", *swap) == after("b", *swap) == set()


def test_a_circle_of_three_is_one_unit() -> None:
    assert units(step("a", [0], [1]), step("b", [1], [2]), step("c", [2], [0])) == [["a", "b", "c"]]


def test_what_starts_on_the_same_gpu_starts_one_after_the_other() -> None:
    both = (step("a", [0], [0]), step("b", [0], [0]))
    assert (after("a", *both), after("b", *both)) == (set(), {"a"})


def test_what_has_no_gpu_in_common_waits_for_nothing() -> None:
    both = (step("a", [0], [1]), step("b", [2], [3]))
    assert after("a", *both) == after("b", *both) == set()


def test_a_service_comes_after_what_it_depends_on() -> None:
    both = (step("app", [0], [0], needs=["db"]), step("db", [1], [1]))
    assert units(*both) == [["db"], ["app"]]
    assert after("app", *both) == {"db"}


def test_a_dependence_against_the_way_of_memory_makes_one_unit_that_starts_in_order_of_dependence() -> None:
    both = (step("app", [1], [0], needs=["db"]), step("db", [0], [1]))
    assert units(*both) == [["db", "app"]]
    assert after("app", *both) == {"db"}


def test_whoever_uses_a_namespace_goes_with_its_owner() -> None:
    both = (step("sidecar", [1], [1], shares=["llm"]), step("llm", [0], [2]))
    assert units(*both) == [["llm", "sidecar"]]
    assert after("sidecar", *both) == {"llm"}


def test_stops_come_first_and_steps_that_do_nothing_last() -> None:
    steps = (step("idle", action="none"), step("a", [0], [1]), step("b", [1], action="stop"))
    assert [one.name for one in in_order(steps)] == ["b", "a", "idle"]
    assert after("a", *steps) == {"b"}


places = st.lists(st.integers(0, 3), max_size=3, unique=True)
NAMES = "abcdef"


@st.composite
def worlds(draw: st.DrawFn) -> list[Step]:
    names = NAMES[: draw(st.integers(1, 6))]
    actions: list[StepAction] = ["recreate", "start", "stop", "create", "none"]
    return [
        step(
            name,
            draw(places),
            draw(places),
            action=draw(st.sampled_from(actions)),
            needs=draw(st.lists(st.sampled_from(names), max_size=2, unique=True)),
            shares=[] if draw(st.integers(0, 3)) else draw(st.lists(st.sampled_from(names), max_size=1)),
        )
        for name in names
    ]


@given(worlds())
def test_no_order_can_wait_for_itself_and_nobody_comes_to_a_gpu_before_it_is_left(steps: list[Step]) -> None:
    ordered = in_order(steps)
    assert sorted(one.name for one in ordered) == sorted(one.name for one in steps)
    places = {one.service: place for place, one in enumerate(ordered)}
    doing = [one for one in ordered if one.action != "none"]
    for one in doing:
        assert all(places[other] < places[one.service] for other in one.after)
        wants = set(one.view.gpus) if one.view and one.action != "stop" else set()
        for other in doing:
            leaves = set(other.holds) - (set(other.view.gpus) if other.view and other.action != "stop" else set())
            if other is not one and wants & leaves:
                assert other.unit <= one.unit
                assert other.unit == one.unit or other.service in one.after


@given(worlds())
def test_two_units_that_have_a_gpu_in_common_never_run_at_the_same_time(steps: list[Step]) -> None:
    doing = [one for one in in_order(steps) if one.action != "none"]

    def touched(one: Step) -> set[str]:
        return set(one.holds) | (set(one.view.gpus) if one.view and one.action != "stop" else set())

    for place, one in enumerate(doing):
        for other in doing[:place]:
            if touched(one) & touched(other) and one.unit != other.unit:
                assert other.service in one.after
