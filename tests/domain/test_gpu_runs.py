"""Lists of GPUs as people write and read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.domain.gpu import in_runs, out_of_runs


@pytest.mark.parametrize(("labels", "written"), [
    ([], ""),
    (["3"], "3"),
    (["0", "1"], "0,1"),
    (["8", "9", "10", "11"], "8-11"),
    (["5", "0", "1", "2", "7"], "5,0-2,7"),
    (["2", "1", "0"], "2,1,0"),
    (["1:0", "1:1", "1:2"], "1:0,1:1,1:2"),
])  # fmt: skip
def test_three_and_more_that_follow_each_other_are_a_run(labels: list[str], written: str) -> None:
    assert in_runs(labels) == written


@given(st.lists(st.integers(0, 999), unique=True, min_size=1).map(lambda numbers: [str(one) for one in numbers]))
def test_what_is_written_so_is_read_as_it_was(labels: list[str]) -> None:
    assert out_of_runs(in_runs(labels)) == labels


@pytest.mark.parametrize("name", ["GPU-1a2b", "7-4", "4-4", "-3", "0-99999999999", "1:0-1:3", "1-²", "1-" + "9" * 5000])
def test_what_is_no_run_stays_a_name(name: str) -> None:
    assert out_of_runs(name) == [name]
