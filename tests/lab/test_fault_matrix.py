"""A sample of the fault matrix, another one each time. The whole of it: `make fault-matrix`."""

import time

import pytest

from tests.lab.conftest import Lab
from tests.lab.fault_matrix import Outcome, all_cases, open_slots, report, run_cases

pytestmark = pytest.mark.lab

SAMPLE_S = 180.0


def test_whatever_breaks_no_service_is_lost_and_nothing_is_left_over(lab: Lab) -> None:
    began = time.monotonic()
    slots = open_slots(lab, lab.random)
    try:
        cases = all_cases(slots[0], lab.random)
        lab.random.shuffle(cases)
        # Those that stop the daemon have it for themselves, at the end.
        shared = [case for case in cases if case.how != "daemon"]
        alone = [case for case in cases if case.how == "daemon"][:3]
        outcomes: list[Outcome] = run_cases(slots, shared, began + SAMPLE_S, lambda _: None)
        outcomes += run_cases(slots, alone, None, lambda _: None)
    finally:
        for slot in slots:
            slot.close()
    print(f"{len(outcomes)} of {len(cases)} cases\n{report(outcomes)}")
    assert len(outcomes) >= 20
    assert not [outcome for outcome in outcomes if outcome.faults], report(outcomes)
