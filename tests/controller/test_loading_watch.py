"""The logs of containers that start are read as often as it takes, and no oftener."""

from datetime import UTC, datetime

import pytest

from gputui.controller.watch.loading_watch import AT_ONCE, EVERY_S, due
from gputui.domain.log import Loading

NOW = 1_763_000_000.0


def run_of(name: str, age_s: float) -> str:
    return f"{name} {datetime.fromtimestamp(NOW - age_s, UTC).isoformat()}"


def is_due(age_s: float, looked_s_ago: float | None, loading: Loading | None = None) -> bool:
    run = run_of("c1", age_s)
    looked = {} if looked_s_ago is None else {run: NOW - looked_s_ago}
    return due([run], {run: loading} if loading else {}, looked, NOW) == (run,)


def test_one_that_was_never_looked_at_is() -> None:
    assert is_due(3000, None)


def test_one_that_loads_is_looked_at_every_time() -> None:
    assert is_due(3000, EVERY_S, Loading(phase="loading", percent=3))


def test_one_that_is_ready_is_not_looked_at_again() -> None:
    assert not is_due(3000, 2000, Loading(phase="ready"))


@pytest.mark.parametrize(("age_s", "again_after_s"), [(30, 5), (360, 60), (3600, 600)])
def test_one_that_says_nothing_is_looked_at_the_less_often_the_longer_it_runs(
    age_s: float, again_after_s: float
) -> None:
    assert is_due(age_s, again_after_s)
    assert not is_due(age_s, again_after_s - 1)


def test_one_that_has_just_started_is_looked_at_every_time() -> None:
    assert is_due(10, EVERY_S)


def test_one_whose_start_is_not_known_is_looked_at_every_time() -> None:
    assert due(["c1 None"], {}, {"c1 None": NOW - EVERY_S}, NOW) == ("c1 None",)


def test_a_clock_that_is_behind_the_engines_hides_nothing() -> None:
    assert is_due(-60, EVERY_S)


def test_of_many_that_say_nothing_the_youngest_come_first_and_few_at_once() -> None:
    runs = [run_of(f"c{age}", age) for age in range(100, 150)]
    assert due(runs, {}, {}, NOW) == tuple(runs[:AT_ONCE])
    read = dict.fromkeys(runs[:AT_ONCE], NOW - 60)
    assert due(runs, {}, read, NOW) == tuple(runs[AT_ONCE : 2 * AT_ONCE])


def test_none_of_many_waits_for_ever() -> None:
    runs = [run_of(f"c{age}", age) for age in range(20, 120)]
    looked = dict.fromkeys(runs, NOW)
    longest = 0.0
    for number in range(1, 100):
        now = NOW + number * EVERY_S
        for run in due(runs, {}, looked, now):
            longest, looked[run] = max(longest, now - looked[run]), now
    assert len(runs) / AT_ONCE * EVERY_S <= longest <= 90
    assert min(looked.values()) > NOW


def test_what_loads_is_read_however_much_there_is() -> None:
    runs = [run_of(f"c{age}", age) for age in range(100, 150)]
    loading = dict.fromkeys(runs, Loading(phase="loading"))
    assert due(runs, loading, {}, NOW) == tuple(runs)
