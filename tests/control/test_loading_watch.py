"""The logs of containers that start are read as often as it takes, and no oftener."""

import pytest

from gputui.control.loading_watch import EVERY_S, is_due
from gputui.domain.loading import Loading

STARTED = 1_763_000_000.0
RUN = "c1 2025-11-13T02:13:20Z"


def test_one_that_was_never_looked_at_is() -> None:
    assert is_due(RUN, None, None, STARTED + 3000)


def test_one_that_loads_is_looked_at_every_time() -> None:
    assert is_due(RUN, Loading(phase="loading", percent=3), STARTED + 3000, STARTED + 3000 + EVERY_S)


def test_one_that_is_ready_is_not_looked_at_again() -> None:
    assert not is_due(RUN, Loading(phase="ready"), STARTED + 5, STARTED + 3000)


@pytest.mark.parametrize(("age_s", "after_s"), [(1, EVERY_S), (20, EVERY_S), (300, 30), (3000, 300)])
def test_one_that_says_nothing_is_looked_at_the_less_often_the_longer_it_runs(age_s: float, after_s: float) -> None:
    looked = STARTED + age_s
    assert is_due(RUN, None, looked, looked + after_s)
    assert age_s <= 20 or not is_due(RUN, None, looked, looked + after_s - 1)


def test_one_whose_start_is_not_known_is_looked_at_every_time() -> None:
    assert is_due("c1 None", None, STARTED, STARTED + EVERY_S)


def test_a_clock_that_is_behind_the_engines_hides_nothing() -> None:
    assert is_due(RUN, None, STARTED - 60, STARTED - 60 + EVERY_S)
