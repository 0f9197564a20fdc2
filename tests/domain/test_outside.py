"""What is taken for a number of what comes from outside."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.domain.text import LARGEST, mapping, real_number, sequence, whole_number

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("value", "number"),
    [(7, 7), ("7", 7), (" -3 ", -3), ("+4", 4), (8.0, 8), ("007", 7), (LARGEST, LARGEST), (str(LARGEST), LARGEST)],
)
def test_a_whole_number_is_read_however_it_is_given(value: Any, number: int) -> None:
    assert whole_number(value) == number


@pytest.mark.parametrize(
    "value",
    ["²", "٣", "1e3", "0x10", "1_000", "", "-", "1.5", 1.5, True, None, [], {}, b"7", "9" * 5000, 2**63, float("inf")],
)
def test_what_is_no_whole_number_is_none(value: Any) -> None:
    assert whole_number(value) is None


def test_a_whole_number_out_of_its_range_is_none() -> None:
    assert whole_number("0", least=1) is None
    assert whole_number(65536, most=65535) is None
    assert whole_number("65535", least=1, most=65535) == 65535


@pytest.mark.parametrize(("value", "number"), [("1.5", 1.5), (2, 2.0), (".5", 0.5), ("1e-3", 0.001), (" 3. ", 3.0)])
def test_a_real_number_is_read_however_it_is_given(value: Any, number: float) -> None:
    assert real_number(value) == number


@pytest.mark.parametrize("value", ["nan", "inf", "1e999", float("inf"), float("nan"), "½", "", None, True, 10**400])
def test_what_is_no_finite_number_is_none(value: Any) -> None:
    assert real_number(value) is None


@given(JUNK)
def test_anything_is_a_value_or_none(value: Any) -> None:
    whole, real = whole_number(value), real_number(value)
    assert whole is None or isinstance(whole, int)
    assert real is None or isinstance(real, float)
    assert isinstance(dict(mapping(value)), dict)
    assert isinstance(list(sequence(value)), list)
