"""What a simulated container takes of a GPU, and what it says where there is no room for it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gputui.domain.launch import variables_in
from gputui.domain.text import real_number
from gputui.simulated.scenario import SimulatedContainer

VLLM_FRACTION = 0.92
"""Of a GPU, unless it is told."""


def takes_mib(config: Mapping[str, Any], template: SimulatedContainer, total_mib: int, *, in_scenario: bool) -> int:
    """MiB of a GPU once it is loaded: the fraction that its command says, or of a vLLM that no scenario describes its
    own; else what the scenario says, within its budget."""
    fraction = _fraction(config.get("Cmd") or [])
    if in_scenario and fraction == _fraction(template.command):
        fraction = None  # the scenario knows what that comes to
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
    """The last words of a program that found no room on its GPU of this number, as PyTorch has them."""
    return (
        "Traceback (most recent call last):\n"
        '  File "/app/serve.py", line 88, in load_model\n'
        f"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate {wanted_mib / 1024:.2f} GiB. GPU {number} has "
        f"a total capacity of {total_mib / 1024:.2f} GiB of which {max(0, free_mib) / 1024:.2f} GiB is free."
    )
