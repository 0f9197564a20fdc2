"""The GPU memory that a simulated container takes, and its error message if there is too little."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gputui.domain.launch import variables_in
from gputui.domain.text import real_number
from gputui.simulated.scenario import SimulatedContainer

VLLM_FRACTION = 0.92
"""The default fraction of a GPU's memory."""


def takes_mib(config: Mapping[str, Any], template: SimulatedContainer, total_mib: int, *, in_scenario: bool) -> int:
    """The memory in MiB once it is loaded: the fraction in its command, the default one for a vLLM that the scenario
    does not describe, else the value in the scenario, limited by its budget."""
    fraction = _fraction(config.get("Cmd") or [])
    if in_scenario and fraction == _fraction(template.command):
        fraction = None  # the scenario has the resulting value
    if fraction is None and not in_scenario and "vllm" in str(config.get("Image")):
        fraction = VLLM_FRACTION
    if fraction is not None:
        return int(fraction * total_mib)
    variables = variables_in(config.get("Env"))
    budget = real_number(variables.get("VRAM_BUDGET_GB"))
    return min(template.memory_mib, int(budget * 1024)) if budget else template.memory_mib


def _fraction(words: Sequence[object]) -> float | None:
    match = re.search(r"--gpu-memory-utilization[= ]([0-9.]+)", " ".join(str(word) for word in words))
    return real_number(match[1]) if match else None


def out_of_memory(number: int, *, total_mib: int, free_mib: int, wanted_mib: int) -> str:
    """The PyTorch error of a program that runs out of memory on its nth GPU."""
    return (
        "Traceback (most recent call last):\n"
        '  File "/app/serve.py", line 88, in load_model\n'
        f"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate {wanted_mib / 1024:.2f} GiB. GPU {number} has "
        f"a total capacity of {total_mib / 1024:.2f} GiB of which {max(0, free_mib) / 1024:.2f} GiB is free."
    )
