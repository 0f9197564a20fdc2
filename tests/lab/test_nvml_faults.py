"""The screen while the driver misbehaves: it stays live, the other cards tick on, and services stay with their GPUs."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.lab.conftest import GPUS, Lab
from tests.lab.driver import uuid_of
from tests.terminal import Terminal

pytestmark = pytest.mark.lab

HELP = "Keys: services"
LOST, MISMATCH = 15, 18
"""NVML_ERROR_GPU_IS_LOST, NVML_ERROR_LIB_RM_VERSION_MISMATCH."""


@pytest.fixture
def screen(lab: Lab) -> Iterator[Terminal]:
    lab.engine.run("llm", [uuid_of(3)], claim_mib=8192)
    lab.engine.run("embed", [uuid_of(1)], claim_mib=4096)
    lab.loaded("llm")
    lab.loaded("embed")
    terminal = Terminal(lab.command("--interval", "0.5"), lab.environment())
    terminal.expect(lambda text: "llm 8.0" in text and "embed 4.0" in text)
    yield terminal
    terminal.kill()


def assert_live(terminal: Terminal) -> None:
    """Keys are answered. How fast is printed, and judged by nobody: machines are noisy."""
    took = []
    for _ in range(3):
        before = time.perf_counter()
        terminal.type("?")
        terminal.expect(HELP, pause_s=0.002)
        took.append(1000 * (time.perf_counter() - before))
        terminal.keys("Escape")
        terminal.expect(lambda text: HELP not in text)
    print(f"key to paint, tmux included: {', '.join(f'{one:.0f}' for one in took)} ms")


def assert_ticking(lab: Lab, terminal: Terminal, gpu: int) -> None:
    """What another GPU reads is on its card soon."""
    for value in (61, 72):
        lab.driver.change(gpu, temp=value)
        terminal.expect(f"{value}°")


def test_a_gpu_whose_driver_call_hangs(lab: Lab, screen: Terminal) -> None:
    lab.driver.extra = ["delay\t3\tnvmlDeviceGetPowerUsage\t-1"]
    lab.driver.write()
    assert_live(screen)
    assert_ticking(lab, screen, 0)
    screen.expect(lambda text: "no answer for" in text)
    assert_live(screen)
    assert_ticking(lab, screen, 5)
    assert " 3 " in screen.row("llm"), "it stays with its GPU"


def test_a_gpu_that_is_lost_and_comes_back(lab: Lab, screen: Terminal) -> None:
    lab.driver.extra = [f"fail\t3\t*\t{LOST}"]
    lab.driver.write()
    screen.expect("LOST")
    assert_live(screen)
    assert_ticking(lab, screen, 0)
    assert " 3 " in screen.row("llm"), "it stays with its GPU"
    lab.driver.extra = []
    lab.driver.write()
    screen.expect(lambda text: "LOST" not in text and "llm 8.0" in text)
    assert_ticking(lab, screen, 3)


def test_gpus_that_change_their_order(lab: Lab, screen: Terminal) -> None:
    one, two, three, four, five, six = lab.driver.gpus
    lab.driver.gpus = [
        replace(gpu, index=index, minor=gpu.index) for index, gpu in enumerate((four, two, three, one, five, six))
    ]
    lab.driver.write()
    screen.expect(lambda text: " 0 " in row(text))
    assert_live(screen)
    plan = lab.json("plan")
    assert plan["steps"] == [], "what runs is what is assigned"


def row(text: str) -> str:
    return next((line for line in text.splitlines() if line.split()[:1] == ["llm"]), "")


def test_a_driver_that_does_not_fit_its_library_any_more(lab: Lab) -> None:
    lab.engine.run("llm", [uuid_of(3)], claim_mib=8192)
    lab.loaded("llm")
    lab.driver.system = f"system\tdriver=580.95.05\tinit={MISMATCH}"
    lab.driver.write()
    terminal = Terminal(lab.command("--interval", "0.5"), lab.environment())
    try:
        terminal.expect("different versions")
        assert_live(terminal)
        lab.driver.system = "system\tdriver=580.95.05"
        lab.driver.write()
        seen = terminal.expect(lambda text: "llm 8.0" in text, limit_s=20)
        assert seen.count("H100 80GB") == GPUS, "they are there by themselves once the driver answers"
    finally:
        terminal.kill()
