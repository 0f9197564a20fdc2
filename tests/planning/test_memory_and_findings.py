"""Whether a draft fits, and what is said where it does not."""

from hypothesis import given
from hypothesis import strategies as st

from gputui.domain.finding import Finding
from gputui.domain.gpu import Reading
from gputui.domain.service import Service
from gputui.planning.findings.find_all import find_all
from gputui.planning.memory_shares import memory_of
from tests.builders import container, gpu, process, reading, service

G0, G1, G2 = gpu(0), gpu(1), gpu(2)
GIB = 1024


def found(services: list[Service], readings: list[Reading]) -> tuple[Finding, ...]:
    memory = [memory_of(one, services) for one in readings]
    return find_all(services, [one.gpu for one in readings], readings, memory)


def test_a_service_too_big_for_the_card_is_said_to_be() -> None:
    small = gpu(0, total=4 * GIB)
    (one,) = found([service("ai-llm", small, need=22 * GIB)], [reading(small), reading(G1)])
    assert (one.code, one.severity, one.service, one.gpu) == ("too-big", "warning", "ai-llm", small.uuid)
    assert one.text == "ai-llm needs 22.0 GiB (declared); GPU 0 has 4.0 GiB in all"
    assert one.fix == "GPU 1 would fit"


def test_services_that_do_not_fit_together_are_one_finding_with_a_way_out_for_the_largest() -> None:
    services = [service("a", G0, need=50 * GIB), service("b", G0, need=40 * GIB)]
    (one,) = found(services, [reading(G0), reading(G1), reading(G2)])
    assert (one.code, one.service) == ("sum-too-big", "a")
    assert one.text == "GPU 0 is overcommitted: 90.0 GiB (50.0 a, 40.0 b) of 80.0 GiB"
    assert one.fix == "move a: GPU 1 or 2 would fit"


def test_foreign_processes_are_named_with_what_they_hold() -> None:
    busy = reading(G1, process(81231, 70 * GIB))
    (one,) = found([service("ai-rerank", G1, need=20 * GIB)], [reading(G0), busy])
    assert one.code == "foreign-memory"
    assert one.text == "ai-rerank needs 20.0 GiB (declared); GPU 1 has 10.0 of 80.0 GiB free (70.0 bob: python 81231)"


def test_memory_that_no_process_accounts_for_is_foreign_too() -> None:
    (one,) = found([service("a", G0, need=20 * GIB)], [reading(G0, used=70 * GIB)])
    assert "70.0 no listed process" in one.text


def test_what_a_service_holds_itself_is_free_for_itself() -> None:
    own = service("a", G0, need=60 * GIB)
    assert own.container is not None
    running = reading(G0, process(1, 60 * GIB, container=own.container.id))
    assert found([own], [running]) == ()
    memory = memory_of(running, [own])
    assert [(share.kind, share.mib) for share in memory.shares] == [("service", 60 * GIB)]
    assert memory.free_after_mib == 20 * GIB


def test_a_move_shows_what_it_adds_and_what_it_frees() -> None:
    moved = service("a", G0, need=30 * GIB, assigned=(G1.uuid,))
    assert moved.container is not None
    here = memory_of(reading(G0, process(1, 30 * GIB, container=moved.container.id)), [moved])
    there = memory_of(reading(G1), [moved])
    assert [(share.kind, share.name, share.mib) for share in here.shares] == [("freed", "a", 30 * GIB)]
    assert [(share.kind, share.name, share.mib) for share in there.shares] == [("planned", "a", 30 * GIB)]
    assert (here.free_after_mib, there.free_after_mib) == (80 * GIB, 50 * GIB)


def test_what_a_running_service_has_still_to_take_is_expected_and_no_part_of_a_draft() -> None:
    starting = service("a", G0, need=30 * GIB)
    assert starting.container is not None
    nothing_yet = memory_of(reading(G0), [starting])
    assert [(share.kind, share.mib) for share in nothing_yet.shares] == [("expected", 30 * GIB)]
    part = memory_of(reading(G0, process(1, 10 * GIB, container=starting.container.id)), [starting])
    assert [(share.kind, share.mib) for share in part.shares] == [("service", 10 * GIB), ("expected", 20 * GIB)]
    assert nothing_yet.free_after_mib == part.free_after_mib == 50 * GIB


def test_what_is_unknown_is_not_taken_for_nothing() -> None:
    memory = memory_of(reading(G0), [service("a", G0)])
    assert memory.free_after_mib is None
    assert memory.shares[0].mib is None
    unread = Reading(gpu=G0, taken_at=0.0, state="unknown")
    assert memory_of(unread, [service("a", G0, need=1)]).free_after_mib is None


def test_reserved_memory_cannot_be_used() -> None:
    (one,) = found([service("a", G0, need=80 * GIB)], [reading(G0, reserved=551)])
    assert one.code == "too-big"
    assert "79.5 GiB in all" in one.text


def test_a_gpu_that_is_gone_is_an_error_of_its_service_alone() -> None:
    gone = service("a", assigned=("GPU-gone",), requested=("GPU-gone",))
    (one,) = found([gone, service("b", G0)], [reading(G0)])
    assert (one.code, one.severity, one.service) == ("gpu-missing", "error", "a")


def test_a_disabled_service_needs_nothing() -> None:
    assert found([service("a", G0, need=90 * GIB, enabled=False)], [reading(G0)]) == ()


def test_a_process_on_another_gpu_is_drift() -> None:
    strays = service("a", G0, drift=("a process of it runs on GPU 3, which it was not given",))
    (one,) = found([strays], [reading(G0)])
    assert (one.code, one.severity) == ("drift", "warning")


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 60 * GIB)), max_size=6), st.integers(0, 80 * GIB))
def test_a_warning_is_there_exactly_where_the_sum_is_too_much(wanted: list[tuple[int, int]], foreign: int) -> None:
    cards = [G0, G1]
    services = [service(f"s{number}", cards[place], need=need) for number, (place, need) in enumerate(wanted)]
    readings = [reading(G0, process(9, foreign)) if foreign else reading(G0), reading(G1)]
    for one in readings:
        needs = [need for place, need in wanted if cards[place] == one.gpu]
        used = foreign if one.gpu == G0 else 0
        too_much = bool(needs) and sum(needs) + used > 80 * GIB
        assert memory_of(one, services).over == too_much
        about = [finding for finding in found(services, readings) if finding.gpu == one.gpu.uuid]
        assert bool(about) == too_much


def test_an_assignment_that_was_not_applied_is_said_to_be() -> None:
    (one,) = found([service("a", G0, assigned=(G1.uuid,))], [reading(G0), reading(G1)])
    assert (one.code, one.severity) == ("not-applied", "info")
    assert one.text == "a is assigned GPU 1; its container was made for 0"


def test_a_service_that_would_lose_its_neighbours_network_is_an_error() -> None:
    moved = service("a", G0, assigned=(G1.uuid,))
    assert moved.container is not None
    beside = service("b", container=container("b", shares_with=(moved.container.id,)), enabled=True)
    readings = [reading(G0), reading(G1)]
    memory = [memory_of(one, [moved]) for one in readings]
    stranger = beside.container
    assert stranger is not None
    codes = {(one.code, one.service) for one in find_all([moved], [G0, G1], readings, memory, [stranger])}
    assert ("shared-namespace", "a") in codes
    codes = {(one.code, one.service) for one in find_all([moved, beside], [G0, G1], readings, memory, [stranger])}
    assert ("shared-namespace", "a") not in codes, "what is adopted is made anew with it"


def test_memory_that_nvml_does_not_tell_apart_is_not_counted_twice() -> None:
    own = service("a", G0, need=60 * GIB)
    assert own.container is not None
    memory = memory_of(reading(G0, process(1, None, container=own.container.id), used=60 * GIB), [own])
    assert (memory.over, memory.free_after_mib) == (False, 20 * GIB)
