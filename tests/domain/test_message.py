"""What is said is a kind with values, worded in one table."""

from typing import get_args

import pytest

from gputui.domain.message import Message, MessageKind, message
from gputui.state.json_values import from_json, to_json


@pytest.mark.parametrize("kind", get_args(MessageKind))
def test_every_kind_has_words(kind: MessageKind) -> None:
    assert Message(kind).text


def test_the_words_have_the_values_in_them() -> None:
    assert message("coming-up", state="starting", seconds=12, line=": loading").text == "starting for 12 s: loading"


def test_a_value_that_is_missing_is_shown_as_missing() -> None:
    assert message("rolled-back").text == "rollback to revision <revision>"


def test_a_value_cannot_be_a_template() -> None:
    assert message("text", text="{0.__class__} {text}").text == "{0.__class__} {text}"


def test_a_kind_of_a_newer_gputui_is_shown_by_its_text() -> None:
    assert Message.recorded("of-tomorrow", {"a": 1}, "as it was worded").text == "as it was worded"


def test_it_survives_json_and_so_does_text_alone() -> None:
    for written in (message("assigned", service="llm"), Message.of_text("as found")):
        assert from_json(Message, to_json(written)) == written
    assert from_json(Message, '"fallback: GPU 2 is gone"').kind == "fallback"
