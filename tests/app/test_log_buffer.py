"""The lines of a log pane: bounded, filtered, merged, pretty-printed."""

from hypothesis import given
from hypothesis import strategies as st

from gputui.app.render.log_buffer import LogBuffer, merged, pretty
from gputui.app.render.matching import filter_of, pattern_of
from gputui.domain.log import LogLine


def lines(*texts: str) -> list[LogLine]:
    return [LogLine(text) for text in texts]


def test_old_lines_are_let_go_and_counted() -> None:
    buffer = LogBuffer(lines=3)
    buffer.add("a", lines("1", "2", "3", "4", "5"))
    assert [entry.text for entry in buffer.visible] == ["3", "4", "5"]
    assert buffer.evicted == 2


def test_long_lines_count_by_their_length() -> None:
    buffer = LogBuffer(characters=100)
    buffer.add("a", lines("x" * 60, "y" * 60, "z"))
    assert [entry.text[0] for entry in buffer.visible] == ["y", "z"]


def test_a_filter_hides_what_it_hides_and_never_a_remark() -> None:
    buffer = LogBuffer()
    buffer.add("a", lines("good", "bad"))
    buffer.remark("end")
    buffer.set_filter("!bad")
    buffer.add("a", lines("bad again", "good again"))
    assert [entry.text for entry in buffer.visible] == ["good", "end", "good again"]
    buffer.set_filter("")
    assert len(buffer.visible) == 5


@given(st.lists(st.text(max_size=20), max_size=60), st.integers(1, 20), st.text(max_size=4))
def test_what_is_shown_is_what_passes_of_what_is_kept(texts: list[str], limit: int, pattern: str) -> None:
    buffer = LogBuffer(lines=limit)
    buffer.set_filter(pattern)
    for start in range(0, len(texts), 7):
        buffer.add("a", lines(*texts[start : start + 7]))
    passes = filter_of(pattern)
    assert [entry.text for entry in buffer.visible] == [text for text in texts[-limit:] if passes(text)]


def test_several_logs_are_merged_by_time_and_a_line_without_one_stays_behind_its_own() -> None:
    first_log, second_log = LogBuffer(), LogBuffer()
    first_log.add(
        "a", [LogLine("a1", at="2026-01-01T00:00:01Z"), LogLine("  more"), LogLine("a3", at="2026-01-01T00:00:03Z")]
    )
    second_log.add("b", [LogLine("b2", at="2026-01-01T00:00:02Z")])
    assert [entry.text for entry in merged([first_log, second_log])] == ["a1", "  more", "b2", "a3"]


def test_a_line_of_json_is_written_out_and_its_escapes_stay_harmless() -> None:
    assert pretty('INFO {"a": 1}') == ("INFO {", '  "a": 1', "}")
    assert pretty("no json here") == ("no json here",)
    assert pretty("[12:03] plain") == ("[12:03] plain",)
    assert "\x1b" not in "".join(pretty('{"a": "\\u001b[2J"}'))
    assert pretty("[" * 100_000 + "]" * 100_000) == ("[" * 100_000 + "]" * 100_000,)


def test_a_pattern_is_a_regular_expression_or_the_text_itself() -> None:
    assert filter_of("a.c")("abc")
    assert filter_of("a[")("xa[x")
    assert filter_of("ERR")("ERR") and not filter_of("ERR")("err")
    assert filter_of("err")("ERR")
    pattern = pattern_of("(a+)+b")
    assert pattern is not None and not pattern.search("a" * 5000), "a nested repetition is taken by its letters"
