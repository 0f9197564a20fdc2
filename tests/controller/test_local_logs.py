"""Lines of a log that wait to be taken: the newest, bounded, and nothing is dropped uncounted."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gputui.controller.local_logs import BUFFER_BYTES, BUFFER_LINES, WaitingLines
from gputui.engine.log_frames import STDOUT


@given(st.lists(st.integers(0, BUFFER_LINES * 2), max_size=12))
@settings(deadline=None)
def test_what_is_kept_is_the_end_and_the_rest_is_counted(sizes: list[int]) -> None:
    waiting = WaitingLines()
    numbers = iter(range(sum(sizes)))
    for size in sizes:
        waiting.add([(STDOUT, b"%d" % next(numbers)) for _ in range(size)])
    kept = [int(line) for _, line in waiting.lines()]
    assert kept == list(range(waiting.dropped, sum(sizes)))
    assert len(kept) == min(sum(sizes), BUFFER_LINES)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=30))
@settings(deadline=None)
def test_long_lines_are_bounded_by_their_bytes(sizes: list[int]) -> None:
    waiting = WaitingLines()
    for size in sizes:
        waiting.add([(STDOUT, bytes(size * 2**20))])
    kept = sum(len(line) for _, line in waiting.lines())
    assert 0 < kept <= BUFFER_BYTES
    assert waiting.dropped + len(list(waiting.lines())) == len(sizes)


def test_a_batch_that_is_too_large_by_itself_is_dropped_and_counted() -> None:
    waiting = WaitingLines()
    waiting.add([(STDOUT, bytes(2**20))] * 20)
    assert (waiting.dropped, list(waiting.lines())) == (20, [])


def test_one_after_another_none_is_dropped_while_there_is_room() -> None:
    waiting = WaitingLines()
    for _ in range(BUFFER_LINES):
        waiting.add([(STDOUT, b"x")])
    assert waiting.dropped == 0
