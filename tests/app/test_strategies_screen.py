"""The comparison of strategies, and applying one to the draft."""

from gputui.controller.local_controller import LocalController
from tests.app.conftest import Opening, app_of, screen_text
from tests.app.piloting import SIZE, labels, press_and_adopt, select, until


async def test_all_strategies_are_compared_and_looking_changes_nothing(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("s")
        await until(pilot, lambda: "88%" in screen_text(app) and "…" not in screen_text(app).partition("SERVICE")[0])
        text = screen_text(app)
        for name in ("manual", "vram", "latency", "isolation", "balanced"):
            assert name in text
        await pilot.press("escape")
        await until(pilot, lambda: "STRATEGY" not in screen_text(app))
        assert controller.watch.snapshot().draft.changed == ()


async def test_the_chosen_one_goes_into_the_draft_after_a_question_and_one_undo_takes_it_back(
    controller: LocalController,
) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        assigned = {service.name: service.assigned for service in controller.watch.snapshot().services}
        await pilot.press("s")
        await until(pilot, lambda: "88%" in screen_text(app))
        await pilot.press("j")
        await until(pilot, lambda: "GPUs with most free memory" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "unmanaged containers" in screen_text(app))
        await pilot.press("y")
        await until(pilot, lambda: labels(controller, "ai-emb") != ["1"])
        await until(pilot, lambda: " vram " in screen_text(app).splitlines()[0])
        await pilot.press("u")
        await until(
            pilot,
            lambda: {service.name: service.assigned for service in controller.watch.snapshot().services} == assigned,
        )


async def test_the_reserve_is_kept_free(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("s")
        await until(pilot, lambda: "reserve 0.0 GiB" in screen_text(app))
        await pilot.press("plus", "plus", "minus")
        await until(pilot, lambda: "reserve 0.5 GiB" in screen_text(app))


async def test_the_keys_are_seen_on_a_small_terminal(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("s")
        await until(pilot, lambda: "88%" in screen_text(app))
        text = screen_text(app)
        assert "enter take over" in text
        assert "balanced" in text


async def test_taking_the_fix_changes_the_argument(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, controller, "ai-emb")
        await pilot.press("F")
        await pilot.pause(0.2)
        assert controller.watch.snapshot().draft.changed == ()
        await select(pilot, controller, "ai-llm")
        await press_and_adopt(pilot, "3")
        await until(pilot, lambda: "GPU 3 would be idle" in screen_text(app) and "(F does it)" in screen_text(app))
        await pilot.press("F")
        await until(pilot, lambda: any(service.edits for service in controller.watch.snapshot().services))
        (edit,) = next(service.edits for service in controller.watch.snapshot().services if service.edits)
        assert (edit.argument, edit.value) == ("--tensor-parallel-size", "2")
        await until(pilot, lambda: "would idle" not in screen_text(app))


async def test_in_readonly_mode_there_is_no_such_key(open_controller: Opening) -> None:
    controller = open_controller(readonly=True)
    app = app_of(controller, readonly=True)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("s")
        await pilot.pause(0.3)
        assert "STRATEGY" not in screen_text(app)
