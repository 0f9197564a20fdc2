"""Suggestions for a server as it is: what stays, what holds memory, budgets, and groups with special wishes."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gputui.domain.errors import UsageError
from gputui.domain.gpu import GpuProcess, Reading
from gputui.domain.service import ClaimRule, Requirement, Service, ServiceKey
from gputui.planning.placement.proposal import automatic, suggest
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


# --- what a service says reaches the search --------------------------------------------------------------------------


def test_priority_isolation_islands_and_kinds_reach_the_search() -> None:
    fast = gpu(0, memory_bandwidth_gb_s=3000, island="a")
    slow = gpu(1, memory_bandwidth_gb_s=300, island="b")
    first, second = (service(name, need=60 * GIB, container=None, requested=None) for name in ("first", "second"))
    chosen = where(suggest("latency", [first, replace(second, priority=9)], [reading(fast), reading(slow)]))
    assert chosen["second"] == (fast.uuid,)

    protected = service("z-small", need=GIB, container=None, requested=None, isolate=True)
    others = [service(name, need=5 * GIB, container=None, requested=None) for name in ("a", "b", "c")]
    chosen = where(suggest("isolation", [protected, *others], [reading(card) for card in CARDS]))
    assert sum(gpus == chosen["z-small"] for gpus in chosen.values()) == 1

    pair = service("pair", need=60 * GIB, container=None, requested=None)
    pair = replace(pair, serving=replace(pair.serving, tensor=2, world=2))
    islands = [gpu(index, island=str(index % 2)) for index in range(4)]
    chosen = where(suggest("vram", [pair], [reading(card) for card in islands]))
    assert set(chosen["pair"]) in ({islands[0].uuid, islands[2].uuid}, {islands[1].uuid, islands[3].uuid})
    mixed = [gpu(0), gpu(1, name="NVIDIA A100 80GB")]
    assert where(suggest("vram", [pair], [reading(card) for card in mixed])) == {}


def test_a_size_that_cannot_be_told_is_not_taken_for_one() -> None:
    one = service("a", need=GIB, container=None, requested=None)
    unknown = replace(one, serving=replace(one.serving, tensor=None, world=None, unread=("--tensor-parallel-size",)))
    (left,) = suggest("vram", [unknown], [reading(CARDS[0])]).unplaced
    assert "how many GPUs it uses cannot be determined" in left.reason


def test_a_declared_budget_is_told_where_its_flags_would_take_more() -> None:
    needs = Requirement(minimum_mib=20 * GIB, claim_mib=72 * GIB, source="declared", rule=ClaimRule("total", 0.9))
    one = service(
        "a", CARDS[0], backend="vllm", requirement=needs, declared_mib=20 * GIB, has_budget=True, container=None,
        requested=None, budget_env=None,
    )  # fmt: skip
    other = service("b", CARDS[0], need=50 * GIB, container=None, requested=None)
    suggestion = suggest("vram", [one, other], [reading(CARDS[0])])
    assert {item.name: item.budget_mib for item in suggestion.assignments} == {"a": 20 * GIB, "b": None}
    assert suggestion.gpus[0].free_after_mib == 10 * GIB


def test_an_engine_that_takes_what_is_free_leaves_no_room_where_it_runs() -> None:
    rule = ClaimRule("free", 0.85)
    needs = Requirement(minimum_mib=20 * GIB, claim_mib=70 * GIB, source="observed", rule=rule, gpu_total_mib=80 * GIB)
    runs = service("a", CARDS[0], backend="sglang", requirement=needs, running_on=(CARDS[0].uuid,))
    comes = service("b", need=40 * GIB, container=None, requested=None)
    readings = [reading(CARDS[0], holds("a", 70 * GIB)), reading(gpu(1, total=16 * GIB))]
    for strategy in ("vram", "latency", "isolation", "balanced"):
        suggestion = suggest(strategy, [runs, comes], readings)
        assert [one.name for one in suggestion.unplaced] == ["b"]
        assert all(one.free_after_mib >= 0 for one in suggestion.gpus)


RULES = st.sampled_from(
    [
        None,
        ClaimRule("total", 0.3),
        ClaimRule("total", 0.6),
        ClaimRule("free", 0.8, 2 * GIB),
        ClaimRule("rest", 0.9, 5 * GIB),
    ]
)


@st.composite
def servers(draw: st.DrawFn) -> tuple[list[Service], list[Reading]]:
    """Services that run or do not, ours or found, with every rule of memory; and other people's processes."""
    cards = [gpu(index, total=draw(st.sampled_from([24, 80])) * GIB) for index in range(draw(st.integers(1, 3)))]
    services, holding = [], {card.uuid: 0 for card in cards}
    processes: dict[str, list[GpuProcess]] = {card.uuid: [] for card in cards}
    for number in range(draw(st.integers(1, 5))):
        name, rule = f"s{number}", draw(RULES)
        minimum = draw(st.integers(1, 30)) * GIB
        card = draw(st.sampled_from(cards))
        room = (card.memory_total_mib or 0) - holding[card.uuid]
        runs = draw(st.booleans()) and room > minimum
        needs = Requirement(minimum_mib=minimum, claim_mib=minimum, source="weights", rule=rule)
        if runs:
            held = draw(st.integers(minimum, room))
            holding[card.uuid] += held
            processes[card.uuid].append(holds(name, held, number + 1))
            needs = replace(needs, claim_mib=held, source="observed", gpu_total_mib=card.memory_total_mib)
        services.append(
            service(
                name, *([card] if runs else []), requirement=needs, adopted=draw(st.booleans()), origin="found",
                running_on=(card.uuid,) if runs else (), priority=draw(st.integers(0, 1)),
                **({} if runs else {"container": None, "requested": None}),
            )
        )  # fmt: skip
    readings = []
    for card in cards:
        left = (card.memory_total_mib or 0) - holding[card.uuid]
        stranger = draw(st.integers(0, left))
        readings.append(reading(card, *processes[card.uuid], *([process(99, stranger)] if stranger else [])))
    return services, readings


@settings(max_examples=150, deadline=None)
@given(server=servers(), reserve=st.sampled_from([0, 0, 3 * GIB]))
def test_no_gpu_that_gets_something_is_overfilled_and_a_second_run_moves_nothing(
    server: tuple[list[Service], list[Reading]], reserve: int
) -> None:
    services, readings = server
    for strategy in ("vram", "latency", "isolation", "balanced"):
        suggestion = suggest(strategy, services, readings, reserve_mib=reserve)
        touched = {uuid for one in suggestion.assignments if one.moved for uuid in one.gpus}
        for one in suggestion.gpus:
            if one.uuid in touched:
                assert one.free_after_mib >= 0
        ours = {one.key for one in services if one.adopted}
        assert {one.service for one in suggestion.assignments} <= ours
        running = {one.key for one in services if one.running and one.adopted}
        left_out = {one.service for one in suggestion.unplaced if not one.stays}
        assert not (running & left_out), "what runs keeps a place"
