"""What every engine and every source of readings promises, the simulated pair and the real one alike."""

import threading
import time
from collections.abc import Callable

import pytest

from gputui.domain.errors import EngineError, NotFound
from gputui.domain.log import LogWindow
from gputui.domain.text import moment
from gputui.engine.container_events import ContainerEvent, events_in
from tests.contract.conftest import Pair


def eventually(condition: Callable[[], bool], limit_s: float = 10.0) -> bool:
    until = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def test_gpus_have_an_identity_and_readings_add_up(pair: Pair) -> None:
    inventory = pair.source.inventory()
    assert inventory.reason is None
    assert len({gpu.uuid for gpu in inventory.gpus}) == len(inventory.gpus) >= 3
    for gpu in inventory.gpus:
        reading = pair.source.read(gpu)
        assert reading.state == "ok"
        parts = (reading.memory_used_mib, reading.memory_reserved_mib, reading.memory_free_mib)
        assert None not in parts
        assert abs(sum(part or 0 for part in parts) - (reading.memory_total_mib or 0)) <= 2
        assert pair.source.processes(gpu) == ()


def test_a_container_is_created_started_seen_stopped_and_removed(pair: Pair) -> None:
    gpu = pair.source.inventory().gpus[1]
    identity = pair.engine.create(pair.spec("one", gpu.uuid))
    created = pair.engine.inspect("one")
    assert (created.id, created.name, created.state, created.running) == (identity, "one", "created", False)
    assert created.gpu_request is not None
    assert created.gpu_request.device_ids == (gpu.uuid,)

    pair.engine.start(identity)
    assert pair.engine.inspect(identity).running
    assert pair.engine.device_nodes(identity) == frozenset({f"/dev/nvidia{gpu.minor}"})
    assert len(pair.engine.pids(identity) or ()) >= 1
    assert [one.name for one in pair.engine.containers()] == ["one"]

    assert eventually(lambda: [p.container_id for p in pair.source.processes(gpu) or ()] == [identity])
    assert eventually(lambda: (pair.source.read(gpu).memory_used_mib or 0) >= 2048)
    (process,) = pair.source.processes(gpu) or ()
    assert process.pid in (pair.engine.pids(identity) or ())
    assert (process.memory_mib, process.user) == (2048, "root")

    pair.engine.stop(identity, 10)
    assert pair.engine.inspect(identity).state == "exited"
    assert eventually(lambda: pair.source.processes(gpu) == ())
    pair.engine.remove(identity)
    with pytest.raises(NotFound):
        pair.engine.inspect(identity)


def test_a_running_container_can_be_renamed_and_names_are_unique(pair: Pair) -> None:
    first = pair.engine.create(pair.spec("first", None))
    pair.engine.start(first)
    pair.engine.rename(first, "renamed")
    assert pair.engine.inspect("renamed").id == first
    second = pair.engine.create(pair.spec("first", None))
    with pytest.raises(EngineError):
        pair.engine.rename(second, "renamed")
    with pytest.raises(EngineError):
        pair.engine.create(pair.spec("renamed", None))


def test_the_spec_of_a_container_makes_the_same_again(pair: Pair) -> None:
    gpu = pair.source.inventory().gpus[0]
    pair.engine.create(pair.spec("one", gpu.uuid))
    spec = pair.engine.spec("one")
    pair.engine.create(spec.named("two"))
    again = pair.engine.spec("two")
    assert again.body["HostConfig"]["DeviceRequests"] == spec.body["HostConfig"]["DeviceRequests"]
    assert (again.body["Image"], again.body["Env"]) == (spec.body["Image"], spec.body["Env"])


def test_a_gpu_that_does_not_exist_fails_at_the_start_not_at_create(pair: Pair) -> None:
    identity = pair.engine.create(pair.spec("one", "GPU-ffffffff"))
    with pytest.raises(EngineError, match="unknown device"):
        pair.engine.start(identity)
    assert not pair.engine.inspect(identity).running


def test_a_log_is_followed_as_it_grows_and_can_be_closed(pair: Pair) -> None:
    identity = pair.engine.create(pair.spec("one", None))
    pair.engine.start(identity)
    assert eventually(lambda: any(b"ready" in line for line in pair.engine.last_log(identity, 10)))
    stream = pair.engine.follow_log(identity, LogWindow(tail=100))
    seen: list[bytes] = []
    reader = threading.Thread(target=lambda: seen.extend(stream))
    reader.start()
    assert eventually(lambda: b"ready" in b"".join(seen))
    assert reader.is_alive()
    stream.close()
    reader.join(5)
    assert not reader.is_alive()


def test_what_happens_to_containers_is_told(pair: Pair) -> None:
    stream = pair.engine.events()
    seen: list[ContainerEvent] = []
    reader = threading.Thread(target=lambda: seen.extend(events_in(stream)))
    reader.start()
    time.sleep(0.1)
    identity = pair.engine.create(pair.spec("one", None))
    pair.engine.start(identity)
    pair.engine.stop(identity, 10)
    assert eventually(lambda: any(event.action == "die" for event in seen))
    created, kill = (next(event for event in seen if event.action == action) for action in ("create", "kill"))
    assert {event.container_id for event in seen} == {identity}
    assert created.attributes["name"] == "one"
    stopped = pair.engine.inspect(identity)
    assert kill.stops(stopped)
    assert kill.at >= (moment(stopped.started_at or "") or 0) > 0
    stream.close()
    reader.join(5)
    assert not reader.is_alive()


def test_what_is_not_there_is_not_found(pair: Pair) -> None:
    for call in (pair.engine.inspect, pair.engine.spec, pair.engine.start, pair.engine.remove):
        with pytest.raises(NotFound):
            call("nothing-of-this-name")
