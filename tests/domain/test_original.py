"""What a container was before it was edited, as a label remembers it."""

import pytest

from gputui.domain.original import Original


def test_what_is_written_is_read() -> None:
    original = Original(command=["serve", "--x", "1"], variables={"A": "b", "NEW": None})
    assert Original.parse(original.label()) == original
    assert Original.parse(Original(command=None, variables={}).label()) == Original(command=None, variables={})


@pytest.mark.parametrize(
    "label",
    [None, "", "nonsense", "5", "[]", "{}", '{"cmd": 5, "variables": {}}', '{"cmd": "serve", "variables": {}}',
     '{"cmd": [], "variables": 5}', '{"cmd": [], "variables": ["abc"]}', "[" * 100_000],
)  # fmt: skip
def test_what_somebody_else_wrote_is_none(label: str | None) -> None:
    assert Original.parse(label) is None
