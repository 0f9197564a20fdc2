"""Services joined from what is declared, what runs, what is saved and what is read; again every second."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gputui.domain import compose_labels
from gputui.domain.assignment import Assignment, Assignments
from gputui.domain.container import Container
from gputui.domain.gpu import Gpu, GpuProcess
from gputui.domain.log import Loading
from gputui.domain.service import ServiceKey
from gputui.planning.services import NOTHING_JOINED, Joined, World, join_services
from tests.builders import container, gpu, process, reading

GPUS = (gpu(0), gpu(1))
NAMES = ("llm", "embed", "rerank")
NOTHING_SAVED = Assignments()


def world(*containers: Container, processes: tuple[GpuProcess, ...] = (), gpus: tuple[Gpu, ...] = GPUS) -> World:
    return World(host="here", gpus=gpus, readings=[reading(one, *processes) for one in gpus], containers=containers)


def holding(mib: int) -> World:
    """Two services, of which the first holds so much."""
    llm, embed = container("llm", GPUS[0]), container("embed", GPUS[1])
    return world(llm, embed, processes=(process(7, mib, container=llm.id),))


def test_a_service_of_which_nothing_changed_is_the_one_that_it_was() -> None:
    before = join_services(holding(4000), NOTHING_SAVED)
    embed, llm = join_services(holding(5000), NOTHING_SAVED, before).services
    assert embed is before.services[0]
    assert llm is not before.services[1]
    assert llm.requirement.claim_mib == 5000


def test_what_all_services_depend_on_makes_all_of_them_anew() -> None:
    before = join_services(holding(4000), NOTHING_SAVED)
    larger = tuple(replace(one, memory_total_mib=100_000) for one in GPUS)
    services = join_services(replace(holding(4000), gpus=larger), NOTHING_SAVED, before).services
    assert [service.smallest_gpu_mib for service in services] == [100_000, 100_000]


@st.composite
def worlds(draw: st.DrawFn) -> tuple[World, Assignments]:
    containers: list[Container] = []
    processes: list[GpuProcess] = []
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        state = draw(st.sampled_from(["running", "exited"]))
        own = draw(st.sampled_from([(), GPUS[:1], GPUS]))
        labels = draw(st.sampled_from([{}, {compose_labels.PROJECT: "a", compose_labels.SERVICE: "llm"}]))
        made = container(name, *own, state=state, labels=labels, started_at=draw(st.sampled_from([None, "2026"])))
        containers.append(made)
        if draw(st.booleans()):
            processes.append(process(len(processes) + 1, draw(st.integers(1, 3)) * 1000, container=made.id))
    loading = {one.run: Loading(phase="loading", percent=draw(st.integers(0, 2))) for one in containers}
    items = tuple(
        Assignment(
            key=ServiceKey("here", "", name), gpus=(draw(st.sampled_from(GPUS)).uuid,), adopted=draw(st.booleans())
        )
        for name in draw(st.lists(st.sampled_from(sorted(NAMES)), unique=True).map(sorted))
    )
    seen = world(*containers, processes=tuple(processes), gpus=draw(st.sampled_from([GPUS, GPUS[:1]])))
    return replace(seen, loading=draw(st.sampled_from([{}, loading]))), Assignments(items=items)


@given(st.lists(worlds(), min_size=2, max_size=5))
def test_what_is_taken_from_before_is_what_would_be_made_anew(following: list[tuple[World, Assignments]]) -> None:
    before: Joined = NOTHING_JOINED
    for seen, assignments in following:
        before = join_services(seen, assignments, before)
        assert before.services == join_services(seen, assignments).services
