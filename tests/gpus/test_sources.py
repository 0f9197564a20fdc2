"""Sources of readings over other sources."""

from collections.abc import Mapping

import pytest

from gputui.domain.gpu import Gpu, GpuInventory, GpuProcess, Reading
from gputui.domain.gpu_details import GpuDetails, LinkTraffic
from gputui.gpus.first_source import FirstSource
from gputui.gpus.owned_source import ASK_EVERY_S, FORGOTTEN_S, NOBODYS_S, OwnedSource
from tests.builders import gpu


class Fixed:
    """A source that says what it is told to."""

    def __init__(self, *gpus: Gpu, reason: str = "", pids: tuple[int, ...] = ()) -> None:
        self.found = GpuInventory(gpus=gpus, reason=reason)
        self.pids = pids

    def inventory(self) -> GpuInventory:
        return self.found

    def has_changed(self) -> bool:
        return False

    def read(self, gpu: Gpu) -> Reading:
        return Reading(gpu=gpu, taken_at=0.0, memory_used_mib=len(self.found.gpus))

    def processes(self, gpu: Gpu) -> tuple[GpuProcess, ...] | None:  # noqa: ARG002 - the protocol's
        return tuple(GpuProcess(pid=pid) for pid in self.pids)

    def details(self, gpu: Gpu) -> GpuDetails | None:
        return GpuDetails(taken_at=0.0, slowdown_c=gpu.index)

    def traffic(self, gpu: Gpu) -> LinkTraffic | None:
        return LinkTraffic(taken_at=0.0, pcie_rx_kib_s=gpu.index)


def test_the_first_source_that_finds_a_gpu_is_read() -> None:
    both = FirstSource((Fixed(reason="no driver"), Fixed(gpu(0)), Fixed(gpu(1), gpu(2))))
    assert both.inventory().gpus == (gpu(0),)
    assert both.read(gpu(0)).memory_used_mib == 1


def test_where_none_finds_one_the_first_tells_why() -> None:
    assert FirstSource((Fixed(reason="no driver"), Fixed(reason="no program"))).inventory().reason == "no driver"


def test_one_that_somebody_asked_for_tells_why_too() -> None:
    asked_for = Fixed(reason="no such image")
    found = FirstSource((Fixed(reason="no driver"), Fixed(reason="no program"), asked_for), asked_for).inventory()
    assert found.reason == "no driver; no such image"


def test_the_first_source_is_asked_again_while_another_is_read() -> None:
    first = Fixed(reason="no driver")
    both = FirstSource((first, Fixed(gpu(0))))
    both.inventory()
    assert both.has_changed()
    first.found = GpuInventory(gpus=(gpu(0), gpu(1)))
    assert len(both.inventory().gpus) == 2
    assert not both.has_changed()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Engine:
    """Whose the processes are, and how often that was asked."""

    def __init__(self, **owners: str) -> None:
        self.owners: Mapping[int, str] = {int(pid[1:]): owner for pid, owner in owners.items()}
        self.asked = 0

    def __call__(self) -> Mapping[int, str]:
        self.asked += 1
        return self.owners


def owners_of(source: OwnedSource) -> list[str | None]:
    return [one.container_id for one in source.processes(gpu(0)) or ()]


def test_processes_are_known_by_what_the_engine_says(clock: Clock) -> None:
    engine = Engine(p10="llm")
    source = OwnedSource(Fixed(gpu(0), pids=(10, 11)), engine, clock)
    assert owners_of(source) == ["llm", None]


def test_what_a_stopped_container_still_holds_is_known_to_be_its(clock: Clock) -> None:
    engine = Engine(p10="llm")
    source = OwnedSource(Fixed(gpu(0), pids=(10,)), engine, clock)
    source.inventory()
    engine.owners = {}
    for _ in range(10):
        clock.now += ASK_EVERY_S
        assert owners_of(source) == ["llm"]


def test_a_pid_that_was_gone_for_a_while_may_be_anothers(clock: Clock) -> None:
    engine, inner = Engine(p10="llm"), Fixed(gpu(0), pids=(10,))
    source = OwnedSource(inner, engine, clock)
    assert owners_of(source) == ["llm"]
    inner.pids = ()
    owners_of(source)
    clock.now += FORGOTTEN_S
    engine.owners = {10: "embed"}
    inner.pids = (10,)
    assert owners_of(source) == ["embed"]


def test_a_process_of_nobody_is_not_asked_about_all_the_time(clock: Clock) -> None:
    engine = Engine()
    source = OwnedSource(Fixed(gpu(0), pids=(77,)), engine, clock)
    for _ in range(int(NOBODYS_S)):
        clock.now += 0.9
        owners_of(source)
    assert engine.asked == 1
    for _ in range(10):
        clock.now += 0.9
        owners_of(source)
    assert engine.asked == 2
