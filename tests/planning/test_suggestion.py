"""Suggestions for a server as it is: what stays, what holds memory, budgets, and groups with special wishes."""

from dataclasses import replace

import pytest

from gputui.domain.errors import UsageError
from gputui.domain.gpu import GpuProcess
from gputui.domain.service import ClaimRule, Requirement, ServiceKey
from gputui.planning.suggestion import automatic, suggest
from tests.builders import container, gpu, process, reading, service

GIB = 1024
CARDS = [gpu(index) for index in range(3)]


def holds(name: str, mib: int, pid: int = 1) -> GpuProcess:
    return process(pid, mib, container=name.ljust(64, "0"))


def where(suggestion: object) -> dict[str, tuple[str, ...]]:
    return {one.name: one.gpus for one in suggestion.assignments}  # type: ignore[attr-defined]


def test_a_service_may_use_again_what_it_holds_itself() -> None:
    one = service("a", CARDS[0], need=70 * GIB, running_on=(CARDS[0].uuid,))
    readings = [reading(CARDS[0], holds("a", 70 * GIB))]
    found = suggest("vram", [one], readings)
    assert where(found) == {"a": (CARDS[0].uuid,)}
    assert found.moves == 0


def test_what_was_only_found_stays_and_keeps_its_memory() -> None:
    found_one = service("theirs", CARDS[0], need=60 * GIB, adopted=False, running_on=(CARDS[0].uuid,))
    ours = service("ours", CARDS[1], need=50 * GIB, requested=None, container=None)
    readings = [
        reading(CARDS[0], holds("theirs", 60 * GIB)),
        reading(CARDS[1], process(9, 70 * GIB)),
        reading(CARDS[2]),
    ]
    suggestion = suggest("vram", [found_one, ours], readings)
    assert where(suggestion) == {"ours": (CARDS[2].uuid,)}
    assert [one.name for one in suggestion.fixed] == ["theirs"]


def test_one_that_the_draft_disables_leaves_its_room_to_others() -> None:
    leaves = service("a", CARDS[0], need=40 * GIB, enabled=False, running_on=(CARDS[0].uuid,))
    comes = service("b", need=50 * GIB, container=None, requested=None)
    readings = [reading(CARDS[0], holds("a", 40 * GIB))]
    assert where(suggest("vram", [leaves, comes], readings)) == {"b": (CARDS[0].uuid,)}


def test_one_that_the_draft_moves_counts_only_where_it_goes() -> None:
    moves = service("a", CARDS[1], need=40 * GIB, requested=(CARDS[0].uuid,), running_on=(CARDS[0].uuid,))
    comes = service("b", need=70 * GIB, container=None, requested=None)
    readings = [reading(CARDS[0], holds("a", 40 * GIB)), reading(CARDS[1])]
    assert automatic(comes, [moves, comes], readings).gpus == (CARDS[0].uuid,)


def test_what_runs_is_never_left_without_a_place() -> None:
    runs = service("runs", CARDS[0], need=70 * GIB, running_on=(CARDS[0].uuid,))
    comes = service("comes", need=20 * GIB, container=None, requested=None)
    readings = [reading(CARDS[0], holds("runs", 70 * GIB))]
    suggestion = suggest("vram", [runs, comes], readings, reserve_mib=15 * GIB)
    assert where(suggestion) == {}
    assert [(one.name, one.stays) for one in suggestion.unplaced] == [("comes", False), ("runs", True)]
    assert suggestion.gpus[0].planned_mib == 70 * GIB


def test_what_is_not_known_cannot_be_placed_and_is_told() -> None:
    unknown = service("a", container=None, requested=None)
    (one,) = suggest("balanced", [unknown], [reading(CARDS[0])]).unplaced
    assert one.reason == "what it needs is not known: declare it as x-gputui.vram, or run it once"


def test_a_gpu_whose_values_are_unknown_gets_nothing() -> None:
    blind = replace(reading(CARDS[0]), memory_used_mib=None)
    one = service("a", need=GIB, container=None, requested=None)
    assert where(suggest("vram", [one], [blind, reading(CARDS[1])])) == {"a": (CARDS[1].uuid,)}


def test_a_mig_parent_gets_nothing_and_an_instance_one_service_without_a_group() -> None:
    parent = gpu(0, mig_enabled=True)
    instance = gpu(0, uuid="MIG-1", mig_index=0, parent_uuid=parent.uuid, total=40 * GIB)
    one = service("a", need=30 * GIB, container=None, requested=None)
    readings = [reading(parent), reading(instance)]
    assert where(suggest("vram", [one], readings)) == {"a": ("MIG-1",)}
    pair = replace(one, serving=replace(one.serving, tensor=2, world=2))
    assert where(suggest("vram", [pair], readings)) == {}


def test_a_group_of_sglang_gets_gpus_with_equal_free_memory() -> None:
    rule = ClaimRule("free", 0.8)
    one = service(
        "a", backend="sglang", container=None, requested=None,
        requirement=Requirement(minimum_mib=20 * GIB, claim_mib=20 * GIB, source="weights", rule=rule),
    )  # fmt: skip
    pair = replace(one, serving=replace(one.serving, tensor=2, world=2))
    readings = [reading(CARDS[0]), *(reading(card, process(5, 30 * GIB)) for card in CARDS[1:])]
    for strategy in ("vram", "latency", "isolation", "balanced"):
        found = suggest(strategy, [pair], readings)
        assert where(found) == {"a": (CARDS[1].uuid, CARDS[2].uuid)}
        assert all(gpu.free_after_mib >= 0 for gpu in found.gpus)


def test_a_fraction_of_a_smaller_gpu_is_no_sign_that_the_model_fits_there() -> None:
    small = gpu(7, total=8 * GIB)
    needs = Requirement(claim_mib=70 * GIB, source="rule of thumb", rule=ClaimRule("total", 0.9))
    one = service("a", CARDS[0], backend="vllm", requirement=needs, smallest_gpu_mib=80 * GIB)
    other = service("b", CARDS[0], need=75 * GIB)
    suggestion = suggest("balanced", [one, other], [reading(CARDS[0]), reading(small)])
    assert small.uuid not in where(suggestion).get("a", ())


def test_a_budget_never_shrinks_below_what_the_model_needs() -> None:
    needs = Requirement(minimum_mib=30 * GIB, claim_mib=60 * GIB, source="weights", rule=ClaimRule("total", 0.75))
    one = service("a", CARDS[0], backend="vllm", requirement=needs, has_budget=True, container=None, requested=None)
    roomy = [reading(CARDS[0], process(5, 45 * GIB))]
    (placed,) = suggest("vram", [one], roomy).assignments
    assert (placed.budget_mib, placed.adjusted) == (35 * GIB, True)
    assert where(suggest("vram", [one], [reading(CARDS[0], process(5, 55 * GIB))])) == {}


def test_a_budget_that_somebody_gave_is_kept_where_it_fits() -> None:
    one = service("a", CARDS[0], need=3 * GIB, budget_mib=4 * GIB, has_budget=True)
    (placed,) = suggest("vram", [one], [reading(CARDS[0])]).assignments
    assert (placed.budget_mib, placed.adjusted) == (4 * GIB, False)


def test_auto_says_why_there_is_no_room() -> None:
    one = service("a", need=90 * GIB, container=None, requested=None)
    with pytest.raises(UsageError, match=r"the most that can be had on one is 80\.0 GiB"):
        automatic(one, [one], [reading(CARDS[0])])


def test_services_of_one_name_in_two_projects_are_two() -> None:
    first = service("llm", CARDS[0], need=50 * GIB)
    second = replace(first, key=ServiceKey("host", "other", "llm"), container=container("other", CARDS[0]))
    suggestion = suggest("vram", [first, second], [reading(card) for card in CARDS[:2]])
    assert len(suggestion.assignments) == 2
    assert len({one.gpus for one in suggestion.assignments}) == 2
