"""Keys that arrive in one piece, as over a slow connection: each acts after the effect of the previous one."""

import asyncio
import time
from itertools import pairwise

import pytest
from textual.events import Event, Key, Paste
from textual.pilot import Pilot
from textual.widgets import Input

from gputui.app.app import GputuiApp
from gputui.app.dialogs.inspect import Inspect
from gputui.app.terminal import type_ahead
from gputui.app.terminal.type_ahead import TypeAhead
from gputui.controller.local_controller import LocalController
from tests.app.conftest import app_of
from tests.app.piloting import SIZE, labels, select, shows, until


def at_once(pilot: Pilot[None], *keys: str | Paste) -> None:
    """Post all keys before the app handles the first one."""
    for key in keys:
        name = {"/": "slash", "&": "ampersand"}.get(str(key), key)
        event = key if isinstance(key, Paste) else Key(str(name), key if len(key) == 1 else None)
        pilot.app.post_message(event)


async def test_a_filter_comes_with_the_key_that_asks_for_it(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        at_once(pilot, "/", *"vis", "enter", "i")
        await until(pilot, lambda: isinstance(app.screen, Inspect))
        await shows(pilot, "ai-vision")


async def test_a_search_goes_into_the_pane_that_its_first_key_opened(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, controller, "ai-emb")
        at_once(pilot, "l", "/", *"chat", "enter", "&", *"chat", "enter")
        await shows(pilot, "with “chat”", "only chat")


async def test_an_answer_comes_with_the_key_that_makes_the_question(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, controller, "ai-rerank")
        at_once(pilot, "5", "y", "0", "u", "U", "6")
        await until(pilot, lambda: labels(controller, "ai-rerank") == ["2", "5", "0", "6"])


async def test_a_dialog_is_filled_in_and_taken_in_one_piece(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, controller, "ai-rerank")
        at_once(pilot, "enter", *["backspace"] * 3, *"6,7", "enter", "y", "u", "U")
        await until(pilot, lambda: labels(controller, "ai-rerank") == ["6", "7"])


async def test_a_paste_keeps_its_place_among_the_keys(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        at_once(pilot, "/", "a", Paste("i-vi"), "s", "enter")
        await shows(pilot, "“ai-vis”", "1 of 6 services")


async def test_the_keys_of_one_piece_are_taken_in_their_order(controller: LocalController) -> None:
    app = app_of(controller)
    text = "abcdefghijklmnopqrstuvwxyz0123456789" * 3
    async with app.run_test(size=SIZE) as pilot:
        at_once(pilot, "/", *text)
        await until(pilot, lambda: isinstance(app.focused, Input) and app.focused.value == text)


async def test_a_screen_that_never_rests_holds_no_key_for_long(
    controller: LocalController, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type_ahead, "MAX_DELAY_S", 0.05)
    app = app_of(controller)
    handed: list[tuple[Event, float]] = []

    async def hand_on(event: Event) -> None:
        handed.append((event, time.monotonic()))

    async with app.run_test(size=SIZE) as pilot:
        typed = TypeAhead(app, hand_on)
        busy = app.run_worker(_never_rest(app))
        keys = [Key(name, name) for name in "abc"]
        for key in keys:
            await typed.take(key)
        assert [event for event, _ in handed] == keys[:1]
        await until(pilot, lambda: len(handed) == len(keys))
        busy.cancel()
    assert [event for event, _ in handed] == keys
    moments = [moment for _, moment in handed]
    assert all(later - earlier >= 0.05 for earlier, later in pairwise(moments))


async def _never_rest(app: GputuiApp) -> None:
    while True:
        app.screen.call_later(lambda: None)
        await asyncio.sleep(0)
