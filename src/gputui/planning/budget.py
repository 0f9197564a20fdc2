"""How a VRAM budget reaches a service: as a variable, or by the option of a backend that has one."""

from collections.abc import Sequence

from gputui.domain.gpu import Gpu
from gputui.domain.launch import Launch
from gputui.domain.outside import real_number
from gputui.domain.service import Edit, Service
from gputui.planning.backends.registry import named

DEFAULT_VARIABLE = "VRAM_BUDGET_GB"


def budget_told(launch: Launch) -> int | None:
    """The VRAM budget in MiB that a container is told by its environment: it may take that much."""
    gib = real_number(launch.environment.get(DEFAULT_VARIABLE, ""))
    return int(gib * 1024) if gib is not None and 0.001 <= gib < 100_000 else None


def all_edits(service: Service, gpus: Sequence[Gpu]) -> tuple[Edit, ...]:
    """The service's edits, and the one that tells its backend its budget: as a fraction of the smallest of its GPUs,
    rounded down to a hundredth."""
    flag = named(service.backend).memory_flag
    totals = [gpu.memory_total_mib for gpu in gpus if gpu.uuid in service.assigned and gpu.memory_total_mib]
    if service.budget_mib is None or service.budget_env is not None or not flag or not totals:
        return service.edits
    fraction = min(100, max(1, service.budget_mib * 100 // min(totals))) / 100
    told = Edit(argument=flag, value=f"{fraction:.2f}", reason="its VRAM budget")
    return (*(one for one in service.edits if one.argument != flag), told)
