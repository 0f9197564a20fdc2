"""Text from outside is hostile."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.domain.text import LINE_LIMIT, clean, clean_log_line, mask_secret

PAYLOADS = {
    "clipboard": "\x1b]52;c;UFdORUQ=\x07",
    "clipboard, ended by ST": "\x1b]52;c;UFdORUQ=\x1b\\",
    "title": "\x1b]0;PWNED\x07",
    "hyperlink": "\x1b]8;;http://evil\x1b\\",
    "clear": "\x1b[2J\x1b[1;1H",
    "reset": "\x1bc",
    "8-bit CSI": "\x9b2J",
    "8-bit OSC": "\x9d0;PWNED\x9c",
    "passthrough": "\x1bPtmux;\x1b\x1b]52;c;eA==\x07\x1b\\",
    "leave the screen": "\x1b[?1049l",
    "bell": "\x07",
    "bidi": "\u202edetrever\u2066",
}
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_no_payload_gets_through(payload: str) -> None:
    text = clean(f"before{payload}after")
    assert not CONTROL.search(text)
    assert text.startswith("before")
    assert text.endswith("after")


@given(st.text())
def test_nothing_that_controls_a_terminal_is_left_of_any_text(text: str) -> None:
    assert not CONTROL.search(clean(text))


@given(st.binary())
def test_any_bytes_are_a_log_line(raw: bytes) -> None:
    assert not CONTROL.search(clean_log_line(raw))


def test_honest_text_stays_as_it_is() -> None:
    assert clean("Qwen3-32B · 日本語 [b]not markup[/b]") == "Qwen3-32B · 日本語 [b]not markup[/b]"


def test_of_a_progress_bar_the_last_state_is_kept() -> None:
    assert clean_log_line(b"10%\r62%\r\x1b[32m100%\x1b[0m\r\n") == "100%"


def test_a_line_of_a_megabyte_is_cut() -> None:
    assert len(clean_log_line(b"x" * 2**20)) <= LINE_LIMIT + 1


@pytest.mark.parametrize("name", ["HF_TOKEN", "OPENAI_API_KEY", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY"])
def test_secrets_are_masked(name: str) -> None:
    assert "hunter2" not in mask_secret(name, "hunter2")
    assert mask_secret("MODEL", "qwen") == "qwen"
