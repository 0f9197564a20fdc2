"""Lines from the frames in which engines send logs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.domain.errors import EngineError
from gputui.engine.log_frames import STDERR, STDOUT, TERMINAL, LogFrames, framed, split_time

AT = b"2026-01-01T00:00:00.123456789Z "


def test_whole_lines_of_both_streams() -> None:
    frames = LogFrames()
    assert frames.feed(framed(STDOUT, AT + b"one\n") + framed(STDERR, AT + b"two\n")) == [
        (STDOUT, AT + b"one"),
        (STDERR, AT + b"two"),
    ]


@given(st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=12)), max_size=8), st.integers(1, 9))
def test_frames_may_be_cut_anywhere(pieces: list[tuple[int, bytes]], size: int) -> None:
    whole = b"".join(framed(stream, piece.replace(b"\n", b".") + b"\n") for stream, piece in pieces)
    frames = LogFrames()
    lines = [line for start in range(0, len(whole), size) for line in frames.feed(whole[start : start + size])]
    assert lines == [(stream, piece.replace(b"\n", b".")) for stream, piece in pieces]
    assert frames.end() == []


def test_a_long_line_comes_in_pieces_each_with_a_time_of_its_own() -> None:
    frames = LogFrames()
    assert frames.feed(framed(STDOUT, AT + b"a" * 5)) == []
    assert frames.feed(framed(STDOUT, AT + b"b\n")) == [(STDOUT, AT + b"aaaaab")]


def test_what_a_terminal_wrote_is_cut_anywhere_and_keeps_all_its_letters() -> None:
    frames = LogFrames()
    assert frames.feed(framed(TERMINAL, AT + b"abc\r\n" + AT[:9])) == [(TERMINAL, AT + b"abc\r")]
    assert frames.feed(framed(TERMINAL, AT[9:] + b"XYZ important\n")) == [(TERMINAL, AT + b"XYZ important")]


def test_a_line_that_does_not_end_is_bounded_and_keeps_its_time() -> None:
    frames = LogFrames()
    for _ in range(100):
        frames.feed(framed(STDOUT, AT + b"x" * 16_000))
    ((_, line),) = frames.end()
    assert line.startswith(AT) and len(line) < 64_000


def test_a_frame_that_no_engine_sends_is_refused_at_once() -> None:
    with pytest.raises(EngineError, match="not understood"):
        LogFrames().feed(b"\x01\0\0\0\xff\xff\xff\xff" + b"x" * 100)


def test_an_empty_frame_is_no_line() -> None:
    assert LogFrames().feed(framed(STDOUT, b"")) == []


def test_times_of_docker_and_of_podman_are_split_off() -> None:
    assert split_time(AT + b"hello") == (AT[:-1].decode(), b"hello")
    assert split_time(b"2026-01-01T00:00:00+02:00 hello") == ("2026-01-01T00:00:00+02:00", b"hello")
    assert split_time(b"no time here") == (None, b"no time here")
