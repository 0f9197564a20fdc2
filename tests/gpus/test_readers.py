"""Readings of all GPUs, each by a thread of its own with its instances."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import pytest

from gputui.domain.errors import GputuiError
from gputui.domain.gpu import Gpu, GpuProcess, Reading
from gputui.domain.gpu_details import GpuDetails
from gputui.gpus import readers
from gputui.gpus.readers import GpuReaders
from gputui.gpus.source import GpuSource
from tests.builders import gpu, process, reading

HANGING, BROKEN = 1, 2
WHOLE = (gpu(0), gpu(HANGING), gpu(BROKEN))
INSTANCE = gpu(0, uuid="MIG-0", mig_index=0)


class Source:
    """GPU 1 never answers, GPU 2 with what no driver should say."""

    def __init__(self) -> None:
        self.threads: dict[str, set[str]] = {}
        self.ended = threading.Event()

    def read(self, of: Gpu) -> Reading:
        self.threads.setdefault(of.label, set()).add(threading.current_thread().name)
        if of.index == HANGING:
            self.ended.wait()
        if of.index == BROKEN:
            raise ValueError("what?")
        return replace(reading(of), taken_at=time.time())

    def processes(self, of: Gpu) -> tuple[GpuProcess, ...]:
        return (process(of.index + 7, 100),)

    def details(self, of: Gpu) -> GpuDetails:
        if of.mig_index is not None:
            raise GputuiError("an instance has none")
        return GpuDetails(taken_at=0.0)


@pytest.fixture
def source() -> Iterator[Source]:
    made = Source()
    yield made
    made.ended.set()


def read(source: Source, *gpus: Gpu) -> dict[str, Reading]:
    made = GpuReaders(cast(GpuSource, source), gpus, 0.01)
    made.wait_for_all(0.5)
    latest = {one.gpu.label: one for one in made.latest()}
    made.close()
    return latest


def test_a_gpu_that_hangs_and_one_that_is_broken_spoil_no_other(source: Source) -> None:
    latest = read(source, *WHOLE, INSTANCE)
    assert {label: one.state for label, one in latest.items()} == {
        "0": "ok", "1": "unknown", "2": "unknown", "0:0": "ok",
    }  # fmt: skip
    assert latest["2"].reason == "ValueError('what?')"


def test_an_instance_is_read_by_the_thread_of_its_gpu(source: Source) -> None:
    read(source, *WHOLE, INSTANCE)
    assert source.threads["0"] == source.threads["0:0"] == {"gpu-0"}
    assert source.threads["1"] == {"gpu-1"}


def test_processes_and_details_stay_until_they_are_read_again(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "PROCESS_EVERY", 1_000_000)
    monkeypatch.setattr(readers, "DETAILS_EVERY", 1_000_000)
    made = GpuReaders(cast(GpuSource, source), (WHOLE[0],), 0.001)
    made.wait_for_all(5)
    first = made.latest()[0].taken_at
    time.sleep(0.05)
    (latest,) = made.latest()
    made.close()
    assert latest.taken_at >= first
    assert [one.pid for one in latest.processes or ()] == [7]
    assert latest.details is not None


def test_an_instance_without_details_is_read_all_the_same(source: Source) -> None:
    latest = read(source, WHOLE[0], INSTANCE)
    assert latest["0:0"].details is None
    assert latest["0"].details is not None
