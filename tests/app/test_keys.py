"""What each key does, seen in the control room and on the screen."""

import time
from collections.abc import Callable

from textual.pilot import Pilot

from gputui.app.app import GputuiApp
from gputui.control.local import LocalControlRoom
from gputui.domain.service import Service
from tests.app.conftest import Opening, app_of, screen_text

SIZE = (140, 42)


def service(room: LocalControlRoom, name: str) -> Service:
    return next(one for one in room.snapshot().services if one.name == name)


def labels(room: LocalControlRoom, name: str) -> list[str]:
    snapshot = room.snapshot()
    by_uuid = {gpu.uuid: gpu.label for gpu in snapshot.inventory.gpus}
    return [by_uuid[uuid] for uuid in service(room, name).assigned]


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if condition():
            return
        await pilot.pause(0.05)
    raise AssertionError(f"never came true\n{screen_text(pilot.app)}")  # type: ignore[arg-type]


async def select(pilot: Pilot[None], room: LocalControlRoom, name: str) -> None:
    names = [one.name for one in room.snapshot().services]
    await pilot.press("g", *["j"] * names.index(name))


async def press_and_adopt(pilot: Pilot[None], app: GputuiApp, key: str) -> None:
    """A key that edits a container which was only found, and yes to the question."""
    await pilot.press(key)
    await until(pilot, lambda: "may it be changed" in screen_text(app))
    await pilot.press("y")


async def test_digits_toggle_gpus_in_the_order_pressed_and_undo_takes_them_back(room: LocalControlRoom) -> None:
    app = app_of(room)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, room, "ai-rerank")
        await pilot.press("5")
        await until(pilot, lambda: "may it be changed from here?" in screen_text(app))
        assert labels(room, "ai-rerank") == ["2"]
        await pilot.press("y")
        await until(pilot, lambda: labels(room, "ai-rerank") == ["2", "5"])
        await pilot.press("0", "2")
        await until(pilot, lambda: labels(room, "ai-rerank") == ["5", "0"])
        await until(pilot, lambda: "2 → 5,0" in screen_text(app) and "1 unsaved" in screen_text(app))
        await pilot.press("u")
        await until(pilot, lambda: labels(room, "ai-rerank") == ["2", "5", "0"])


async def test_no_to_the_question_changes_nothing(room: LocalControlRoom) -> None:
    app = app_of(room)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, room, "ai-rerank")
        await pilot.press("5")
        await until(pilot, lambda: "may it be changed" in screen_text(app))
        await pilot.press("n")
        await until(pilot, lambda: "may it be changed" not in screen_text(app))
        assert room.snapshot().draft.changed == ()


async def test_the_warning_stands_on_row_and_card_at_the_moment_of_the_edit(room: LocalControlRoom) -> None:
    app = app_of(room)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, room, "ai-rerank")
        await press_and_adopt(pilot, app, "1")
        await pilot.press("2")
        await until(pilot, lambda: "would fit" in screen_text(app))
        text = screen_text(app)
        assert (
            "ai-rerank needs 9.8 GiB (observed); GPU 1 has 1.1 of 79.1 GiB free (60.0 ai-emb, 18.0 bob: python 81231)"
            in text
        )
        assert text.count("over by 8.7 GiB") == 2
        assert "− ai-rerank 9.8" in text
        assert "+ ai-rerank 9.8" in text


async def test_enter_takes_typed_gpus_and_a_budget(room: LocalControlRoom) -> None:
    app = app_of(room)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, room, "ai-rerank")
        await pilot.press("enter")
        await until(pilot, lambda: "GPUs in order" in screen_text(app))
        await pilot.press("end", "backspace", *"3,7", "tab", *"3.5GiB", "enter")
        await until(pilot, lambda: "may it be changed" in screen_text(app))
        await pilot.press("y")
        await until(pilot, lambda: labels(room, "ai-rerank") == ["3", "7"])
        await until(pilot, lambda: service(room, "ai-rerank").budget_mib == 3584)


async def test_what_was_typed_wrong_is_told_and_changes_nothing(room: LocalControlRoom) -> None:
    app = app_of(room)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await select(pilot, room, "ai-rerank")
        await pilot.press("enter")
        await until(pilot, lambda: "GPUs in order" in screen_text(app))
        await pilot.press("end", "backspace", *"99", "enter")
        await until(pilot, lambda: "may it be changed" in screen_text(app))
        await pilot.press("y")
        await until(pilot, lambda: "there is no GPU “99”" in screen_text(app))
        assert labels(room, "ai-rerank") == ["2"]


async def test_save_writes_a_revision_and_apply_carries_it_out(room: LocalControlRoom) -> None:
    app = app_of(room)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, room, "ai-rerank")
        await pilot.press("5")
        await until(pilot, lambda: "may it be changed" in screen_text(app))
        await pilot.press("y", "ctrl+s")
        await until(pilot, lambda: room.snapshot().draft.saved.revision == 2)
        await pilot.press("a")
        await until(pilot, lambda: "Carry this out?" in screen_text(app))
        await pilot.press("y")
        await until(pilot, lambda: "[Launch]" in screen_text(app))
        await until(pilot, lambda: "✓ done" in screen_text(app))
        await until(pilot, lambda: len(service(room, "ai-rerank").running_on) == 2)
        await pilot.press("h")
        await until(pilot, lambda: "edited on the screen" in screen_text(app))


async def test_disable_then_apply_stops_and_the_log_is_followed(room: LocalControlRoom) -> None:
    app = app_of(room)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, room, "ai-asr")
        await pilot.press("l")
        await until(pilot, lambda: "log of ai-asr" in screen_text(app) and "200 OK" in screen_text(app))
        await select(pilot, room, "ai-llm")
        await until(pilot, lambda: "log of ai-llm" in screen_text(app) and "200 OK" in screen_text(app))
        await select(pilot, room, "ai-asr")
        await press_and_adopt(pilot, app, "d")
        await until(pilot, lambda: "running, disabled" in screen_text(app))
        await pilot.press("a")
        await until(pilot, lambda: "stop ai-asr" in screen_text(app))
        await pilot.press("y")
        await until(pilot, lambda: service(room, "ai-asr").state == "exited")


async def test_panes_filter_and_help(room: LocalControlRoom) -> None:
    app = app_of(room)
    async with app.run_test(size=SIZE) as pilot:
        for key, words in (
            ("i", "GPU-00000003-4100"),
            ("o", "python train.py"),
            ("f", "nothing to say"),
            ("h", "nothing was saved yet"),
            ("p", "nothing to do"),
        ):
            await pilot.press(key)
            await until(pilot, lambda words=words: words in screen_text(app))  # type: ignore[misc]
        await pilot.press("slash", *"whisper", "enter")
        await until(
            pilot,
            lambda: (
                "ai-asr" in screen_text(app)
                and "ai-vision  " not in screen_text(app).split("[Plan]")[0].split("STATE")[1]
            ),
        )
        await pilot.press("escape")
        await until(pilot, lambda: "Qwen2.5-VL-72B" in screen_text(app))
        await pilot.press("question_mark")
        await until(pilot, lambda: "append this GPU to the selected service" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "append this GPU" not in screen_text(app))


async def test_edits_that_are_not_saved_are_asked_about_at_the_end(room: LocalControlRoom) -> None:
    app = app_of(room)
    async with app.run_test(size=SIZE) as pilot:
        await press_and_adopt(pilot, app, "6")
        await until(pilot, lambda: len(room.snapshot().draft.changed) == 1)
        await pilot.press("q")
        await until(pilot, lambda: "1 edit is not saved. Quit without saving?" in screen_text(app))
        await pilot.press("n")
        await until(pilot, lambda: "Quit without saving?" not in screen_text(app))
        assert app.is_running


async def test_readonly_takes_the_keys_away_and_guards_the_room(open_room: Opening) -> None:
    room = open_room(readonly=True)
    app = app_of(room, readonly=True)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("1", "a", "d")
        await pilot.pause(0.2)
        text = screen_text(app)
        assert "toggle GPU" not in text
        assert "apply" not in text.splitlines()[-1]
        assert room.snapshot().draft.changed == ()


async def test_sixteen_lines_or_cards_whatever_the_room(open_room: Opening) -> None:
    room = open_room("mixed-server")
    for size, style in (((80, 24), "1:0"), ((120, 40), "╭"), ((200, 50), "╭")):
        app = app_of(room)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: "L40S" in screen_text(app))  # noqa: B023
            lines = screen_text(app).splitlines()
            assert len(lines) == size[1]
            assert any(style in line for line in lines)
            assert "tts" in screen_text(app)
