"""How a VRAM budget reaches a service: as a variable, or by the option of a backend that has one."""

from collections.abc import Sequence

from gputui.domain.gpu import Gpu, Reading
from gputui.domain.launch import Launch
from gputui.domain.service import Edit, Service
from gputui.domain.text import real_number
from gputui.planning.backends.registry import named
from gputui.planning.memory_shares import usable_mib

DEFAULT_VARIABLE = "VRAM_BUDGET_GB"


LEAST_LEFT_MIB = 300
LEFT_PART = 0.1
"""What a budget leaves of its GPU for the CUDA context and what is not counted: a tenth, and at least so much."""
STEP_MIB = 102
"""A tenth of a GiB, as a budget is told."""


def largest_budget(usable_mib: int) -> int:
    """The largest budget on a GPU of which this much is usable, in tenths of a GiB."""
    available = usable_mib - max(LEAST_LEFT_MIB, int(usable_mib * LEFT_PART))
    return max(0, available * 10 // 1024) * 1024 // 10


def whole_budget(service: Service) -> int | None:
    """The budget with which nothing of a service has to be left out: what was declared, else the budget that somebody
    gave it, else what it takes."""
    return service.declared_mib or service.budget_mib or service.requirement.claim_mib


def budget_on(service: Service, readings: Sequence[Reading], previous_gpus: Sequence[str]) -> int | None:
    """The budget of a service that was on the GPUs `before` and is assigned others now: the largest that the smallest
    of them allows where the whole is too much.

    A budget that was adjusted to the GPUs before is not what somebody wanted, so that it grows again with the GPU.
    """
    full_budget = whole_budget(service)
    limit = smallest_limit(readings, service.assigned)
    if not service.has_budget or full_budget is None or limit is None:
        return service.budget_mib
    if service.budget_mib is not None and service.budget_mib == smallest_limit(readings, previous_gpus):
        return None if full_budget <= limit else limit
    present = service.budget_mib if service.budget_mib is not None else full_budget
    return limit if present > limit else service.budget_mib


def smallest_limit(readings: Sequence[Reading], gpus: Sequence[str]) -> int | None:
    """The largest budget that the smallest of these GPUs allows; None where none is known."""
    sizes = [size for reading in readings if reading.gpu.uuid in gpus and (size := usable_mib(reading)) is not None]
    return largest_budget(min(sizes)) if sizes else None


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
    budget_edit = Edit(argument=flag, value=f"{fraction:.2f}", reason="its VRAM budget")
    return (*(edit for edit in service.edits if edit.argument != flag), budget_edit)
