"""How a VRAM budget reaches a service: as a variable, or through a backend's option."""

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
"""What a budget leaves of its GPU for the CUDA context and anything uncounted: a tenth, and at least LEAST_LEFT_MIB."""
STEP_MIB = 102
"""A tenth of a GiB, the precision in which a budget is passed."""


def largest_budget(usable_mib: int) -> int:
    """The largest budget on a GPU with this much usable memory, in tenths of a GiB."""
    available = usable_mib - max(LEAST_LEFT_MIB, int(usable_mib * LEFT_PART))
    return max(0, available * 10 // 1024) * 1024 // 10


def whole_budget(service: Service) -> int | None:
    """The budget that a service needs in full: as declared, else as set by somebody, else its claim."""
    return service.declared_mib or service.budget_mib or service.requirement.claim_mib


def budget_on(service: Service, readings: Sequence[Reading], previous_gpus: Sequence[str]) -> int | None:
    """The budget of a service moved from `previous_gpus` to its present GPUs: if the full budget is too much, the
    largest that the smallest of them allows.

    A budget that was adjusted to the previous GPUs is not what somebody asked for, so it grows again with the GPU.
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
    """The largest budget that the smallest of these GPUs allows; None if no size is known."""
    sizes = [size for reading in readings if reading.gpu.uuid in gpus and (size := usable_mib(reading)) is not None]
    return largest_budget(min(sizes)) if sizes else None


def environment_budget(launch: Launch) -> int | None:
    """The VRAM budget in MiB in a container's environment: it may take that much."""
    gib = real_number(launch.environment.get(DEFAULT_VARIABLE, ""))
    return int(gib * 1024) if gib is not None and 0.001 <= gib < 100_000 else None


def all_edits(service: Service, gpus: Sequence[Gpu]) -> tuple[Edit, ...]:
    """The service's edits, and the one that passes its budget to its backend: as a fraction of its smallest GPU,
    rounded down to a hundredth."""
    flag = named(service.backend).memory_flag
    totals = [gpu.memory_total_mib for gpu in gpus if gpu.uuid in service.assigned and gpu.memory_total_mib]
    if service.budget_mib is None or service.budget_env is not None or not flag or not totals:
        return service.edits
    fraction = min(100, max(1, service.budget_mib * 100 // min(totals))) / 100
    budget_edit = Edit(argument=flag, value=f"{fraction:.2f}", reason="its VRAM budget")
    return (*(edit for edit in service.edits if edit.argument != flag), budget_edit)
