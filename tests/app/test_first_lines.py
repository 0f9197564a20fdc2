"""The GPUs are seen before the screen is even loaded, and the terminal is whole if it never comes."""

import signal
from dataclasses import replace

import pytest

from gputui.app.first_lines import first_lines
from gputui.domain.gpu import Gpu, GpuInventory, Reading
from tests.app.test_end_of_session import Session

GPU = Gpu(index=0, uuid="GPU-0", name="NVIDIA H100 80GB HBM3", memory_total_mib=81559)
READING = Reading(
    gpu=GPU, taken_at=0, memory_total_mib=81559, memory_used_mib=52_000, utilization_percent=93, temperature_c=61,
    power_w=412, power_limit_w=700,
)  # fmt: skip
SCREEN_FAILS = """
import sys, time
class Slow:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "textual":
            time.sleep({seconds})
            raise ImportError("it is broken")
sys.meta_path.insert(0, Slow())
from gputui.__main__ import main
sys.argv = ["gputui", "--demo"]
main()
"""
"""The screen takes so long to load, and then cannot be."""


def test_a_gpu_is_a_line_of_its_values() -> None:
    _, line = first_lines(GpuInventory(gpus=(GPU,)), [READING])
    assert line.split() == ["0", "H100", "80GB", "51/80", "GiB", "93%", "61", "C", "412/700W"]


def test_a_lost_gpu_says_why() -> None:
    _, line = first_lines(GpuInventory(gpus=(GPU,)), [replace(READING, state="lost", reason="Xid 79")])
    assert line.split()[3:] == ["LOST", "Xid", "79"]


def test_without_gpus_it_is_said_why() -> None:
    _, line = first_lines(GpuInventory(reason="looking for GPUs"), [])
    assert line == " looking for GPUs"


def test_gpus_are_drawn_before_the_screen_and_one_that_fails_leaves_the_terminal_whole() -> None:
    session = Session("-c", SCREEN_FAILS.format(seconds=2), until=b"it is broken")
    assert session.raw.index(b"\x1b[?1049h") < session.raw.index(b"H100") < session.raw.index(b"\x1b[?1049l")
    assert b"\x1b[?25h" in session.raw, "the cursor is shown"
    assert session.status() == 1


@pytest.mark.parametrize("how", ["SIGTERM", "SIGHUP"])
def test_ended_before_the_screen_is_there_the_terminal_is_whole(how: str) -> None:
    session = Session("-c", SCREEN_FAILS.format(seconds=60), until=b"H100")
    session.end(getattr(signal, how))
    session.read(10.0, until=b"\x1b[?1049l")
    assert session.raw.endswith(b"\x1b[?25h\x1b[?1049l")
    assert session.status() == 0
