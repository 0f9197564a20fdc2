"""Sizes."""

import pytest

from gputui.domain.errors import UsageError
from gputui.domain.units import gib, parse_size


@pytest.mark.parametrize(
    ("text", "mib"),
    [("3.5GiB", 3584), ("3584MiB", 3584), ("8g", 8192), ("24GB", 22888), ("2", 2048), ("512m", 512), ("1TiB", 1048576)],
)
def test_a_size_is_read_as_mib(text: str, mib: int) -> None:
    assert parse_size(text, where="x") == mib


@pytest.mark.parametrize("text", ["", "much", "-3GiB", "nan", "0", "3.5 parsecs", "1e9", "9" * 40])
def test_what_is_no_size_is_said_to_be(text: str) -> None:
    with pytest.raises(UsageError, match=r"compose\.yml:3: vram"):
        parse_size(text, where="compose.yml:3: vram")


def test_unknown_is_not_zero() -> None:
    assert (gib(None), gib(0), gib(3584)) == ("n/a", "0.0", "3.5")
