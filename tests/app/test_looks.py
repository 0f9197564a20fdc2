"""Rendering as pure functions: graphs, cards, ASCII signs, themes and notifications."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.color import Color

from gputui.app.config.themes import DEFAULT, MONO, POOR, default_theme, read_themes
from gputui.app.render.columns import Column, Row, cell, columns_for, placed, sorted_rows
from gputui.app.render.gpu_card import CardView, card, holders, overview, row
from gputui.app.render.gpu_detail import detail_lines, topology_lines, unaccounted_mib
from gputui.app.render.graphs import blocks, braille, resampled
from gputui.app.render.notifications import notifications_between
from gputui.app.render.styled import Run, fit, width_of
from gputui.app.render.values import age_text, duration_text
from gputui.app.terminal.line_filters import NoColour, ascii_text
from gputui.app.widgets.hanging_lines import hanging
from gputui.app.widgets.history_pane import without_started
from gputui.controller.local_controller import LocalController
from gputui.domain.event import ApplyEvent, Progress
from gputui.domain.gpu import Gpu, GpuProcess, GpuState, Reading
from gputui.domain.gpu_details import GpuDetails, GpuHistory, GpuLink, LinkTraffic, Moment, Xid
from gputui.domain.memory import GpuMemory, MemoryShare, ShareKind
from gputui.domain.snapshot import Snapshot
from gputui.state.file_io import packaged
from tests.builders import words

GPU = Gpu(uuid="GPU-1", index=0, name="NVIDIA H100 80GB HBM3", memory_total_mib=81559)
CONSOLE = Console(width=80)
READING = Reading(gpu=GPU, taken_at=0.0, memory_total_mib=81559, memory_used_mib=4000, processes=())


def text_of(line: object) -> str:
    return "".join(run.text for run in line)  # type: ignore[attr-defined]


def test_a_graph_has_a_cell_for_each_value_and_none_where_nothing_is_known() -> None:
    assert blocks([0, 50, 100, None]) == "▁▄█ "
    assert braille([100, 100, None, None, 25, 25], 1) == ["⣿ ⣀"]
    assert braille([50, 50], 2) == [" ", "⣿"]


@given(st.lists(st.one_of(st.none(), st.integers(-10, 200)), max_size=40), st.integers(1, 5))
def test_a_graph_is_as_large_as_it_is_asked_to_be(values: list[int | None], height: int) -> None:
    rows = braille(values, height)
    assert len(rows) == height
    assert {len(row) for row in rows} <= {-(-len(values) // 2)}


def test_the_past_is_cut_into_equal_parts_that_move_rarely() -> None:
    moments = tuple(Moment(period=number, utilization_percent=number) for number in range(100, 130))
    history = GpuHistory(period_s=2.0, moments=moments)
    parts = resampled(history, lambda moment: moment.utilization_percent, 10, span_s=100.0)
    assert parts[-6:] == [104, 109, 114, 119, 124, 129]
    assert parts[:4] == [None] * 4
    later = GpuHistory(period_s=2.0, moments=(*moments, Moment(period=130, utilization_percent=0)))
    assert resampled(later, lambda moment: moment.utilization_percent, 10, span_s=100.0)[-7:-1] == parts[-6:]


@pytest.mark.parametrize("width", [27, 40, 120])
def test_the_card_of_a_mig_instance_says_where_the_rest_is_told(width: int) -> None:
    instance = replace(GPU, uuid="MIG-1", mig_index=2, parent_uuid=GPU.uuid)
    lines = card(CardView(reading=replace(READING, gpu=instance), memory=None), width)
    assert {width_of(line) for line in lines} == {width}
    assert "n/a" not in text_of(lines[0]) + text_of(lines[2])
    assert "load and heat: GPU 0" in text_of(lines[2])


@pytest.mark.parametrize("width", [27, 40, 60, 120])
@pytest.mark.parametrize("state", ["ok", "stale", "lost", "unknown"])
def test_a_card_keeps_to_its_width_whatever_is_known(width: int, state: GpuState) -> None:
    details = GpuDetails(taken_at=0.0, ecc_uncorrected=123456, remap_failed=True, recovery="drain and reset")
    reading = replace(READING, state=state, reason="no answer for 1234567 s", details=details)
    view = CardView(reading=reading, memory=None, warning=True)
    assert {width_of(line) for line in card(view, width)} == {width}
    assert width_of(row(view, width, 24)) == width
    assert all(width_of(line) == width for line in overview([view] * 20, width))


def test_faults_stand_on_the_card_and_come_before_what_only_slows() -> None:
    slow = replace(READING, throttle_reasons=("power cap",))
    assert "power cap" in text_of(card(CardView(reading=slow, memory=None), 40)[-1])
    broken = replace(slow, details=GpuDetails(taken_at=0.0, xid=Xid(code=79, at=0.0)))
    assert "▲ Xid 79" in text_of(card(CardView(reading=broken, memory=None), 40)[-1])


def test_all_links_down_is_a_card_without_a_bridge_and_some_down_is_told() -> None:
    assert GpuDetails(taken_at=0.0, nvlinks=4, nvlinks_active=0).limits == ()
    assert GpuDetails(taken_at=0.0, nvlinks=18, nvlinks_active=17).limits == ("1 of 18 NVLinks down",)


def test_what_is_not_known_of_a_gpu_is_not_zero() -> None:
    lines = detail_lines(Reading(gpu=GPU, taken_at=0.0), None, GpuHistory(period_s=2.0), (None, None), 80)
    text = "\n".join(text_of(line) for line in lines)
    assert "n/a used, n/a reserved, n/a free of n/a GiB" in text
    assert "not known yet" in text
    assert {width_of(line) for line in lines} == {80}


def test_memory_that_no_listed_process_holds_is_told_unless_one_does_not_tell() -> None:
    reading = replace(READING, processes=(GpuProcess(pid=1, memory_mib=1000),))
    assert unaccounted_mib(reading) == 3000
    assert unaccounted_mib(replace(READING, processes=(GpuProcess(pid=1),))) is None
    assert unaccounted_mib(replace(READING, processes=None)) is None


def test_traffic_over_nvlink_is_the_difference_of_two_counts() -> None:
    earlier = LinkTraffic(taken_at=10.0, nvlink_rx_kib=0, nvlink_tx_kib=0)
    later = LinkTraffic(taken_at=12.0, pcie_rx_kib_s=2048, nvlink_rx_kib=4 * 2**20, nvlink_tx_kib=None)
    lines = detail_lines(READING, None, GpuHistory(period_s=2.0), (later, earlier), 90)
    text = "\n".join(text_of(line) for line in lines)
    assert "PCIe in 2.0 MiB/s, out n/a" in text
    assert "NVLink in 2.0 GiB/s, out n/a" in text


def test_the_matrix_names_links_as_nvidia_smi_does() -> None:
    gpus = [replace(GPU, uuid=f"GPU-{number}", index=number, numa_node=number // 2) for number in range(3)]
    links = (
        GpuLink(gpu="GPU-0", peer="GPU-1", kind="NVLink", nvlinks=4),
        GpuLink(gpu="GPU-0", peer="GPU-2", kind="SYS"),
    )
    lines = [text_of(line) for line in topology_lines(gpus, links, 60)]
    assert lines[1].split() == ["GPU0", "X", "NV4", "SYS", "0", "–"]
    assert lines[2].split() == ["GPU1", "NV4", "X", "?", "0", "–"]


@given(st.text(max_size=40))
def test_ascii_is_ascii_and_as_wide(text: str) -> None:
    from rich.cells import cell_len

    plain = ascii_text(text)
    assert plain.isascii()
    if text.isprintable():
        assert cell_len(plain) == cell_len(text) or "\u200d" in text or cell_len(text) < len(text)


def test_what_stands_on_a_ground_of_its_own_is_reversed_where_there_is_no_colour() -> None:
    filtered = NoColour().apply(
        [
            Segment("a", Style(color="red", bold=True)),
            Segment("b", Style(bgcolor="blue")),
            Segment("c", Style(bgcolor="default")),
        ],
        Color(0, 0, 0),
    )
    styles = [segment.style for segment in filtered]
    assert all(style is not None and style.color is None and style.bgcolor is None for style in styles)
    assert [bool(style and style.reverse) for style in styles] == [False, True, False]
    assert styles[0] is not None and styles[0].bold


def test_there_are_themes_for_everybody_and_all_are_right() -> None:
    themes, faults = read_themes(packaged("themes"))
    assert faults == []
    names = {theme.name for theme in themes}
    assert len(names) >= 8
    assert {DEFAULT, POOR, MONO, "gputui-light", "gputui-contrast", "gputui-colour-blind"} <= names
    assert any(not theme.dark for theme in themes)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("colour: red", "mine.yaml: colour: there is no such key"),
        ("name: 3", "mine.yaml: name: a text is expected"),
        ("accent: reddish", "mine.yaml: accent: reddish is no colour"),
        ("dark: perhaps", "mine.yaml: dark: true or false is expected"),
        ("- a", "mine.yaml: while parsing a block mapping"),
    ],
)
def test_a_theme_that_is_wrong_is_left_out_and_told(tmp_path: Path, line: str, fault: str) -> None:
    right = (packaged("themes") / "gputui-dark.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(f"{right}{line}\n")
    assert read_themes(tmp_path) == ([], [fault])


def test_a_theme_without_a_colour_is_left_out_and_told(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    assert read_themes(tmp_path) == ([], ["mine.yaml: primary: it is missing"])


@pytest.mark.parametrize(
    ("term", "colorterm", "no_color", "theme"),
    [
        ("xterm-256color", "", False, DEFAULT),
        ("xterm", "truecolor", False, DEFAULT),
        ("linux", "", False, POOR),
        ("screen", "", False, POOR),
        ("xterm-256color", "truecolor", True, MONO),
    ],
)
def test_the_theme_suits_the_terminal(term: str, colorterm: str, no_color: bool, theme: str) -> None:
    assert default_theme(term, colorterm, no_color=no_color) == theme


COLUMNS = (
    Column(title="A", width=5), Column(title="B", width=10, rank=1), Column(title="C", width=10, rank=2, grows=True),
    Column(title="D", width=4, rank=3, extra=True),
)  # fmt: skip


def test_columns_go_by_their_rank_and_what_is_left_is_for_those_that_grow() -> None:
    def widths(width: int, titles: frozenset[str] | None = None) -> dict[str, int]:
        return {column.title: column.width for column in columns_for(COLUMNS, titles, width)}

    assert widths(31) == {"A": 5, "B": 10, "C": 10}
    assert widths(60) == {"A": 5, "B": 10, "C": 39}
    assert widths(25) == {"A": 5, "B": 10}
    assert widths(3) == {"A": 5}
    assert widths(200)["D"] == 4, "with much controller, what nobody asked for is shown too"
    assert widths(200, frozenset("B")) == {"A": 5, "B": 10}


def test_rows_of_which_nothing_is_known_come_last_in_both_directions() -> None:
    rows = [Row(key=key, cells={}, sort={"A": value}) for key, value in (("x", 2), ("y", None), ("z", 10))]
    assert [row.key for row in sorted_rows(rows, "A", descending=False)] == ["x", "z", "y"]
    assert [row.key for row in sorted_rows(rows, "A", descending=True)] == ["z", "x", "y"]


def test_ages_are_short() -> None:
    assert [duration_text(seconds) for seconds in (-1, 5, 65, 7200, 200_000)] == ["0 s", "5 s", "1 min", "2 h", "2 d"]
    assert age_text("2026-01-01T00:00:00.123456789Z", 1767225660.2) == "1 min"
    assert age_text("never", 0.0) == "–"


def ended(snapshot: Snapshot, *names: str) -> Snapshot:
    services = tuple(
        replace(service, container=replace(service.container, state="exited", exit_code=137))
        if service.name in names and service.container
        else service
        for service in snapshot.services
    )
    return replace(snapshot, services=services)


def test_what_is_worth_telling(controller: LocalController) -> None:
    snapshot = controller.watch.snapshot()
    assert notifications_between(snapshot, snapshot) == ()
    assert [notification.text for notification in notifications_between(snapshot, ended(snapshot, "ai-asr"))] == [
        "ai-asr ended with code 137"
    ]
    lost = replace(snapshot.readings[3], state="lost", reason="GPU is lost")
    without_gpu = replace(snapshot, readings=(*snapshot.readings[:3], lost, *snapshot.readings[4:]))
    assert [notification.text for notification in notifications_between(snapshot, without_gpu)] == ["GPU 3 is lost"]
    assert [notification.text for notification in notifications_between(without_gpu, snapshot)] == ["GPU 3 is back"]
    noted = replace(snapshot, compose_note="compose.yaml:3: not YAML")
    assert [notification.text for notification in notifications_between(snapshot, noted)] == [
        "compose.yaml:3: not YAML"
    ]
    assert notifications_between(noted, noted) == ()
    without_services = ended(snapshot, *(service.name for service in snapshot.services))
    (summed,) = notifications_between(snapshot, without_services)
    assert summed.text.startswith("6 services ended or are unwell")


def test_an_apply_tells_of_its_own_services_and_the_rest_is_told_beside_it(controller: LocalController) -> None:
    from gputui.domain.event import ApplyRecord

    apply = ApplyRecord(
        id=1, revision=1, operator="alice", reason=words(""), started_at="", alive=True, services={"ai-asr": "running"}
    )
    snapshot = replace(controller.watch.snapshot(), apply=apply)
    notifications = notifications_between(snapshot, ended(snapshot, "ai-asr", "ai-emb"))
    assert [notification.about for notification in notifications] == ["ai-emb"]


def shares(*amounts: tuple[ShareKind, str, int]) -> CardView:
    memory_shares = tuple(MemoryShare(kind=kind, name=name, mib=gib * 1024) for kind, name, gib in amounts)
    return CardView(reading=READING, memory=GpuMemory(uuid="GPU-1", usable_mib=81000, shares=memory_shares))


def test_a_legend_shows_whole_names_and_counts_the_rest() -> None:
    view = shares(("service", "ai-llm", 43), ("service", "ai-emb", 20), ("foreign", "alice: python 7", 12))
    assert text_of(holders(view, 40)) == "ai-llm 43  ai-emb 20  alice 12"
    assert text_of(holders(view, 26)) == "ai-llm 43  ai-emb 20  +1"
    assert text_of(holders(view, 20)) == "ai-llm 43  +2"
    assert text_of(holders(view, 3)) == "ai-llm 43", "cut where the card ends"


def test_a_service_that_loads_shows_what_it_has_of_what_it_will_take() -> None:
    view = shares(("service", "ai-llm", 12), ("expected", "ai-llm", 30), ("expected", "ai-emb", 20))
    assert text_of(holders(view, 60)) == "ai-llm 12 of 42  ai-emb 0 of 20"


@given(st.integers(12, 60))
def test_what_is_wrong_never_leaves_the_frame_of_a_card(width: int) -> None:
    details = GpuDetails(taken_at=0.0, remap_pending=True)
    lines = card(CardView(reading=replace(READING, details=details), memory=None), width)
    assert {width_of(line) for line in lines} == {width}
    assert text_of(lines[-1]).endswith("╯")


def test_a_row_shows_what_is_wrong_before_who_is_there() -> None:
    details = GpuDetails(taken_at=0.0, remap_pending=True)
    view = replace(shares(("service", "ai-llm", 43)), reading=replace(READING, details=details))
    text = text_of(row(view, 120, 10))
    assert text.index("rows wait for a reset") < text.index("ai-llm 43")


def test_a_cut_line_says_so() -> None:
    assert text_of(fit((Run("0123456789"),), 5)) == "0123…"
    assert text_of(fit((Run("01"),), 5)) == "01   "


def test_a_sentence_hangs_under_itself_in_its_styles() -> None:
    lines = hanging(Run(" ▲ "), (Run("one two", "title"), Run(" three four", "dim")), 12)
    assert [text_of(line) for line in lines] == [" ▲ one two", "   three", "   four"]
    assert [run.style for run in lines[0]] == ["text", "title"]
    assert [run.style for run in lines[2]] == ["text", "dim"]


def test_a_column_does_not_grow_beyond_what_can_be_read() -> None:
    columns = (Column(title="A", width=10, grows=True, widest=20), Column(title="B", width=10, grows=True))
    assert [column.width for column in columns_for(columns, None, 124)] == [20, 60]


@given(st.text(st.characters(categories=["L", "N", "P"]), min_size=1), st.integers(1, 40))
def test_a_cell_that_is_cut_says_so(text: str, width: int) -> None:
    options = CONSOLE.options.update(width=width)
    (line,) = CONSOLE.render_lines(cell(text), options, pad=False)
    line_text = "".join(segment.text for segment in line)
    assert line_text == text if cell_len(text) <= width else line_text.endswith("…")


def test_digits_stand_under_digits_in_a_numeric_column() -> None:
    column = Column(title="GiB", width=6, numeric=True)
    assert [placed(cell(text), column).justify for text in ("7", "140.0")] == ["right", "right"]
    assert placed(cell("7"), Column(title="GPU", width=6)) is cell("7")


def test_of_a_service_whose_processes_cannot_be_seen_it_is_not_said_that_it_has_nothing() -> None:
    view = shares(("expected", "ai-llm", 43))
    assert text_of(holders(replace(view, reading=replace(READING, processes=None)), 40)) == "ai-llm ? of 43"


PART = st.tuples(st.text(st.characters(categories=["L", "Zs"])), st.sampled_from(["", "title", "dim"]))


@given(st.lists(PART, max_size=6), st.integers(5, 40))
def test_no_letter_is_lost_by_wrapping(parts: list[tuple[str, str]], width: int) -> None:
    lines = hanging(Run(" ▲ "), tuple(Run(text, style) for text, style in parts), width)
    text_shown = "".join(text_of(line[1:]) for line in lines)
    assert "".join(text_shown.split()) == "".join("".join(text for text, _ in parts).split())
    assert all(width_of(line) <= width for line in lines)


def event(number: int, progress: Progress, text: str, service: str = "a") -> ApplyEvent:
    return ApplyEvent(
        number=number,
        at="",
        kind="operation",
        progress=progress,
        message=words(text),
        service=service,
        operation=text.partition(":")[0],
    )


def test_a_beginning_is_left_out_where_its_end_follows() -> None:
    start, end = event(1, "started", "start it"), event(2, "done", "start it: it runs")
    assert without_started([start, end]) == [end]


def test_a_beginning_that_was_cut_off_is_told_beside_the_one_that_ended() -> None:
    cut_off, restart, end = event(1, "started", "stop"), event(2, "started", "stop"), event(3, "done", "stop")
    assert without_started([cut_off, restart, end]) == [cut_off, end]


def test_another_service_between_does_not_hide_an_end() -> None:
    events = [event(1, "started", "stop"), event(2, "started", "stop", "b"), event(3, "done", "stop")]
    assert without_started(events) == events[1:]
