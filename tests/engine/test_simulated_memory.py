"""A simulated GPU runs out of memory as a real one does, so that a tour shows what happens then."""

from gputui.domain.container import ContainerSpec
from gputui.simulated.memory_claim import takes_mib
from gputui.simulated.scenario import Scenario, SimulatedContainer, SimulatedGpu
from gputui.simulated.simulated_engine import SimulatedEngine
from tests.builders import gpu

CARD = gpu(0, total=80 * 1024)
LARGE = SimulatedContainer(name="large", image="i:1", gpus=(CARD.uuid,), memory_mib=50 * 1024, load_s=0)
NOW = 1_000_000.0


def server(*others: SimulatedContainer) -> SimulatedEngine:
    card = SimulatedGpu(gpu=CARD, reserved_mib=512, power_limit_w=700)
    scenario = Scenario(name="s", title="s", host="h", driver_version="1", gpus=(card,), containers=(LARGE, *others))
    return SimulatedEngine(scenario, clock=lambda: NOW)


def started(engine: SimulatedEngine, name: str) -> str:
    request = {"DeviceIDs": [CARD.uuid], "Capabilities": [["gpu"]]}
    spec = ContainerSpec(name=name, body={"Image": "i:1", "HostConfig": {"DeviceRequests": [request]}})
    ref = engine.create(spec)
    engine.start(ref)
    return ref


def test_what_finds_no_room_ends_with_the_words_of_pytorch() -> None:
    second = SimulatedContainer(name="second", image="i:1", memory_mib=40 * 1024, load_s=0, running=False)
    engine = server(second)
    engine.remove("second")
    ref = started(engine, "second")
    assert (engine.inspect(ref).state, engine.inspect(ref).exit_code) == ("exited", 1)
    last = engine.last_log(ref, 1)[0].decode()
    assert last.startswith("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 40.00 GiB. GPU 0 has a total")
    assert last.endswith("of which 29.50 GiB is free.")


def test_what_finds_room_runs() -> None:
    small = SimulatedContainer(name="small", image="i:1", memory_mib=20 * 1024, load_s=0, running=False)
    engine = server(small)
    engine.remove("small")
    assert engine.inspect(started(engine, "small")).running
    assert engine.inspect("large").running


def test_it_takes_what_its_command_or_its_budget_says() -> None:
    one = SimulatedContainer(name="a", image="i:1", memory_mib=8 * 1024)
    words = {"Cmd": ["serve", "--gpu-memory-utilization", "0.5"]}
    assert takes_mib(words, one, 80_000, in_scenario=True) == 40_000
    assert takes_mib({"Env": ["VRAM_BUDGET_GB=3.5"]}, one, 80_000, in_scenario=True) == 3584
    assert takes_mib({"Image": "vllm/vllm-openai:1"}, one, 80_000, in_scenario=False) == 73_600
    assert takes_mib({}, one, 80_000, in_scenario=True) == 8 * 1024
