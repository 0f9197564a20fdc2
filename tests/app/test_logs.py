"""The logs pane: following, searching, filtering, several panes, and limits."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from gputui.app.app import GputuiApp
from gputui.app.config.preferences import Preferences
from gputui.app.config.themes import MONO
from gputui.app.widgets.logs_pane import LogsPane
from gputui.controller.local_controller import LocalController
from gputui.domain.log import LogBatch, LogLine
from tests.app.conftest import Opening, app_of, screen_text
from tests.app.piloting import SIZE, move_ai_rerank, select, service, shows, shows_no, until


def logs_of(app: GputuiApp) -> LogsPane:
    return app.screen_stack[0].query_one(LogsPane)


async def opened(pilot: Pilot[None], controller: LocalController, name: str) -> None:
    """Open the log of this service and focus it."""
    await select(pilot, controller, name)
    await pilot.press("l")
    await shows(pilot, f"log of {name}", "200 OK")
    await pilot.press("l")


async def test_the_log_follows_the_selected_service(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, controller, "ai-asr")
        await pilot.press("escape")
        await select(pilot, controller, "ai-llm")
        await shows(pilot, "log of ai-llm", "200 OK")


async def test_scrolling_up_pauses_and_the_end_follows_again(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, controller, "ai-llm")
        await pilot.press("k")
        await shows(pilot, "paused")
        await pilot.press("g")
        await shows(pilot, "vLLM API server version")
        top = logs_of(app).current.view.top_place
        await pilot.press("j")
        await until(pilot, lambda: logs_of(app).current.view.top_place == top + 1)
        await pilot.press("G")
        await shows_no(pilot, "paused")
        await pilot.press("f")
        await shows(pilot, "paused")


async def test_search_goes_from_match_to_match_around_the_ends(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, controller, "ai-llm")
        await pilot.press("slash", *"shards", "enter")
        await shows(pilot, "shards 62%", "2 of 2")
        await pilot.press("N")
        await shows(pilot, "1 of 2")
        await pilot.press("N")
        await shows(pilot, "2 of 2")
        await pilot.press("n")
        await shows(pilot, "1 of 2")
        await pilot.press("slash", *"nowhere", "enter")
        await shows(pilot, "no line has")


class DelayedLog:
    """A log that yields nothing until it is released."""

    def __init__(self, controller: LocalController, monkeypatch: pytest.MonkeyPatch) -> None:
        self.released = False
        read = controller.logs.read
        monkeypatch.setattr(controller.logs, "read", lambda feed: read(feed) if self.released else LogBatch())


async def test_what_is_searched_before_the_log_came_is_found_when_it_comes(
    controller: LocalController, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = DelayedLog(controller, monkeypatch)
    app = app_of(controller)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await select(pilot, controller, "ai-llm")
        await pilot.press("l", "l", "slash", *"shards", "enter")
        await shows(pilot, "no line came yet")
        slow.released = True
        await shows(pilot, "shards 62%", "2 of 2")


async def test_a_log_that_did_not_come_yet_is_no_file(
    controller: LocalController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    DelayedLog(controller, monkeypatch)
    app = app_of(controller)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await select(pilot, controller, "ai-llm")
        await pilot.press("l", "l", "S")
        await shows(pilot, "there is no line to write")
    assert not list(tmp_path.glob("*.log"))


async def test_a_filter_shows_only_what_has_it_and_the_inverse_the_rest(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, controller, "ai-llm")
        await pilot.press("ampersand", *"loader", "enter")
        await shows(pilot, "only loader", "Loading weights took")
        await shows_no(pilot, "200 OK")
        await pilot.press("ampersand", *["backspace"] * 6, *"!200", "enter")
        await shows(pilot, "only !200", "startup complete")
        await shows_no(pilot, "200 OK")
        await pilot.press("ampersand", "escape")
        await shows(pilot, "200 OK")


async def test_times_wrap_json_and_marks(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, controller, "ai-llm")
        pane = logs_of(app).current
        await pilot.press("t", "w", "J")
        await shows(pilot, "wrap · times · JSON")
        line = next(line for line in screen_text(app).splitlines() if "200 OK" in line)
        assert line[2] == ":" and line[5] == ":", "the time stands before the line"
        await pilot.press("m")
        await shows(pilot, "mark of")
        pane.buffer.add("ai-llm", [LogLine('INFO {"event": "load", "shards": [1, 2]}'), LogLine("x" * 300)])
        await pilot.press("slash", *"xxxx", "enter")  # otherwise new lines may scroll it out of view
        await until(pilot, lambda: sum("xxxx" in line for line in screen_text(app).splitlines()) >= 3)
        await shows(pilot, '"event": "load",')


async def test_stderr_is_told_apart_where_there_is_no_colour(controller: LocalController) -> None:
    app = app_of(controller, theme=MONO)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, controller, "ai-llm")
        lines = [LogLine("to stdout"), LogLine("to stderr", "stderr")]
        logs_of(app).current.buffer.add("ai-llm", lines)
        await pilot.press("slash", *"to std", "enter")
        await until(pilot, lambda: "\nto stdout" in screen_text(app) and "\n┃to stderr" in screen_text(app))


async def test_the_rest_of_a_long_line_is_to_the_right(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, controller, "ai-llm")
        logs_of(app).current.buffer.add("ai-llm", [LogLine("begin " + "-" * 200 + " end of it")])
        await pilot.press("slash", *"begin", "enter")
        await shows(pilot, "begin --")
        view = logs_of(app).current.view
        await pilot.press("right")
        await until(pilot, lambda: view.scroll_x == view.scrollable_content_region.width // 2)
        await pilot.press("right")
        await shows(pilot, "end of it")
        await pilot.press("left", "left")
        await shows(pilot, "begin --")


async def test_panes_beside_each_other_and_merged(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, controller, "ai-llm")
        await pilot.press("plus", "escape")
        await select(pilot, controller, "ai-emb")
        await shows(pilot, "log of ai-llm", "log of ai-emb")
        await pilot.press("l", "M")
        await shows(pilot, "merged: ai-llm, ai-emb", "ai-llm INFO", "ai-emb INFO")
        await pilot.press("M")
        await shows(pilot, "log of ai-llm", "log of ai-emb")
        for key, name in (("comma", "ai-llm"), ("full_stop", "ai-emb")):
            await pilot.press(key)
            await until(pilot, lambda name=name: logs_of(app).current.name_shown == name)  # type: ignore[misc]
        await pilot.press("minus")
        await shows_no(pilot, "log of ai-llm ")
        assert len(logs_of(app).panes) == 1


async def test_windows_read_again_from_elsewhere(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, controller, "ai-llm")
        for key, words in (
            ("2", "last minute"), ("3", "last 5 min"), ("4", "last 15 min"), ("5", "last 30 min"),
            ("6", "last hour"),
        ):  # fmt: skip
            await pilot.press(key)
            await shows(pilot, words)
        await pilot.press("1")
        await shows(pilot, "all of it", "200 OK")
        await pilot.press("0")
        await shows_no(pilot, "all of it")


async def test_the_log_of_the_replaced_container_is_kept(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await move_ai_rerank(pilot, controller)
        await pilot.press("a")
        await shows(pilot, "Carry this out?")
        await pilot.press("y")
        await shows(pilot, "✓ done")
        await pilot.press("l")
        await until(pilot, lambda: len(service(controller, "ai-rerank").running_on) == 2)
        await pilot.press("l", "p")
        await shows(pilot, "earlier container", "the end of the container that was replaced")
        await pilot.press("p")
        await shows_no(pilot, "earlier container")


async def test_what_is_shown_is_written_to_a_file_of_its_owners(
    controller: LocalController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = app_of(controller)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, controller, "ai-llm")
        await pilot.press("S")
        await shows(pilot, "lines written to")
    (path,) = tmp_path.glob("ai-llm-*.log")
    assert "200 OK" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_copying_is_off_until_it_is_set(open_controller: Opening) -> None:
    controller = open_controller()
    app = app_of(controller)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, controller, "ai-llm")
        await pilot.press("y")
        await shows(pilot, "copying is off")
        assert app.clipboard == ""
    app = app_of(controller, preferences=Preferences(copy_by="osc52"))
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, controller, "ai-llm")
        await pilot.press("y")
        await shows(pilot, "lines copied")
        assert "200 OK" in app.clipboard


async def test_a_restarted_container_is_read_on_and_not_again(open_controller: Opening) -> None:
    controller = open_controller()
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, controller, "ai-llm")
        buffer = logs_of(app).current.buffer
        count = len(buffer)
        controller._engine.restart("ai-llm", 1)
        controller.watch.rescan()
        await until(pilot, lambda: any(entry.text == "it was started again" for entry in buffer.entries))
        await pilot.pause(1.5)
        texts = [entry.text for entry in buffer.entries]
        assert len(texts) < count + 60, "what it wrote before is not read again"


async def test_the_end_of_a_log_is_told_once(open_controller: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gputui.app.widgets.log_pane.AGAIN_S", 0.2)
    controller = open_controller()
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, controller, "ai-asr")
        buffer = logs_of(app).current.buffer
        controller._engine.stop("ai-asr", 1)
        controller.watch.rescan()
        await until(pilot, lambda: any(entry.text == "end" for entry in buffer.entries))
        await until(pilot, lambda: not service(controller, "ai-asr").running)
        await pilot.pause(1.5)
        assert sum(entry.text == "end" for entry in buffer.entries) <= 2
