"""A budget follows the GPU that its service is given."""

from gputui.planning.findings.gpu_memory import adjusted
from gputui.planning.needs.budget import budget_on, largest_budget
from tests.builders import gpu, reading, service

GIB = 1024
LARGE, SMALL = gpu(0, total=24 * GIB), gpu(1, total=4 * GIB)
READINGS = (reading(LARGE), reading(SMALL))
WHOLE = int(6.8 * GIB)
FITTING = largest_budget(4 * GIB)


def with_budget(budget_mib: int | None, of: object) -> int | None:
    """The budget once a service of 6.8 GiB was moved to this GPU from the other one."""
    there, other = (SMALL, LARGE) if of is SMALL else (LARGE, SMALL)
    moved = service("a", there, need=WHOLE, has_budget=True, budget_mib=budget_mib, declared_mib=WHOLE)
    return budget_on(moved, READINGS, (other.uuid,))


def test_a_tenth_of_the_gpu_is_left_and_at_least_300_mib() -> None:
    assert int(3.6 * GIB) == FITTING
    assert largest_budget(2 * GIB) == int(1.7 * GIB)
    assert largest_budget(100) == 0


def test_a_smaller_gpu_makes_the_budget_smaller() -> None:
    assert with_budget(None, SMALL) == FITTING
    assert with_budget(2 * GIB, SMALL) == 2 * GIB


def test_an_adjusted_budget_grows_back_and_a_wanted_one_does_not() -> None:
    assert with_budget(FITTING, LARGE) is None
    assert with_budget(2 * GIB, LARGE) == 2 * GIB


def test_a_service_without_a_budget_gets_none() -> None:
    assert budget_on(service("a", SMALL, need=WHOLE), READINGS, (LARGE.uuid,)) is None


def test_an_adjusted_budget_is_told() -> None:
    given = service("a", SMALL, has_budget=True, budget_mib=FITTING, declared_mib=WHOLE)
    (one,) = adjusted([given], READINGS)
    assert one.code == "budget-adjusted"
    assert one.text == (
        "a: its budget of 6.8 GiB exceeds GPU 1 (4.0 GiB). Auto-adjusted to 3.6 GiB. Some models may not load."
    )
