"""The effect of each key on services and the draft, in the controller and on the screen."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from gputui.app.app import GputuiApp
from gputui.app.config.keymap import CONTEXTS
from gputui.app.screens.gpu_screen import Gpus
from gputui.app.screens.main_screen import MainScreen
from gputui.app.widgets.finding_pane import FindingPane
from gputui.app.widgets.history_pane import HistoryPane
from gputui.app.widgets.launch_pane import LaunchPane
from gputui.app.widgets.logs_pane import LogsPane
from gputui.app.widgets.process_pane import ProcessPane
from gputui.app.widgets.row_table import RowTable
from gputui.app.widgets.service_pane import ServicePane
from gputui.controller.local_controller import LocalController
from tests.app.conftest import Opening, app_of, screen_text
from tests.app.piloting import (
    SIZE,
    labels,
    move_ai_rerank,
    press_and_adopt,
    save_second_revision,
    select,
    service,
    shows,
    shows_no,
    until,
)


def test_each_key_has_a_place_where_it_counts() -> None:
    owners = {
        "everywhere": MainScreen, "services": ServicePane, "tables": RowTable, "logs": LogsPane, "launch": LaunchPane,
        "processes": ProcessPane, "findings": FindingPane, "history": HistoryPane, "GPUs": Gpus,
    }  # fmt: skip
    assert owners.keys() == CONTEXTS.keys()
    for name, bindings in CONTEXTS.items():
        for binding in bindings:
            action = binding.action.partition("(")[0]
            owner = GputuiApp if action.startswith("app.") else owners[name]
            assert hasattr(owner, f"action_{action.removeprefix('app.')}"), (name, action)
            assert binding.id and binding.tooltip, (name, action)


async def test_digits_toggle_gpus_in_the_order_pressed_and_undo_takes_them_back(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, controller, "ai-rerank")
        await pilot.press("5")
        await shows(pilot, "may it be changed from here?")
        assert labels(controller, "ai-rerank") == ["2"]
        await pilot.press("y")
        await until(pilot, lambda: labels(controller, "ai-rerank") == ["2", "5"])
        await pilot.press("0", "2")
        await until(pilot, lambda: labels(controller, "ai-rerank") == ["5", "0"])
        await shows(pilot, "2 → 5,0", "1 unsaved")
        await pilot.press("u")
        await until(pilot, lambda: labels(controller, "ai-rerank") == ["2", "5", "0"])
        await pilot.press("U")
        await until(pilot, lambda: labels(controller, "ai-rerank") == ["5", "0"])


async def test_every_digit_is_a_gpu_and_one_that_is_not_there_is_told(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await select(pilot, controller, "ai-rerank")
        await press_and_adopt(pilot, "2")
        await until(pilot, lambda: labels(controller, "ai-rerank") == [])
        await pilot.press("1", "3", "4", "6", "7")
        await until(pilot, lambda: labels(controller, "ai-rerank") == ["1", "3", "4", "6", "7"])
        for label in ("8", "9"):
            await pilot.press(label)
            await shows(pilot, f"no GPU {label}")
        assert labels(controller, "ai-rerank") == ["1", "3", "4", "6", "7"]


async def test_no_to_the_question_changes_nothing(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, controller, "ai-rerank")
        await pilot.press("5")
        await shows(pilot, "may it be changed")
        await pilot.press("n")
        await shows_no(pilot, "may it be changed")
        assert controller.watch.snapshot().draft.changed == ()


async def test_the_warning_stands_on_row_and_card_at_the_moment_of_the_edit(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, controller, "ai-rerank")
        await press_and_adopt(pilot, "1")
        await pilot.press("2")
        await shows(pilot, "would fit")
        text = screen_text(app)
        assert (
            "ai-rerank needs 9.8 GiB (observed); GPU 1 has 1.1 of 79.1 GiB free (60.0 ai-emb, 18.0 bob: python 81231)"
            in text
        )
        assert text.count("over by 8.7 GiB") == 2
        assert "− ai-rerank 9.8" in text
        assert "+ ai-rerank 9.8" in text


async def test_enter_takes_typed_gpus_a_budget_and_a_priority(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, controller, "ai-rerank")
        await pilot.press("enter")
        await shows(pilot, "GPUs in order", "does not fit")
        await pilot.press("end", "backspace", *"3,7", "tab", *"3.5GiB", "tab", *"4", "enter")
        await shows(pilot, "may it be changed")
        await pilot.press("y")
        await until(pilot, lambda: labels(controller, "ai-rerank") == ["3", "7"])
        await until(pilot, lambda: service(controller, "ai-rerank").budget_mib == 3584)
        await until(pilot, lambda: service(controller, "ai-rerank").priority == 4)


async def test_the_picker_chooses_by_space_and_by_digit_in_order(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, controller, "ai-rerank")
        await pilot.press("enter")
        await shows(pilot, "FREE AFTER")
        await pilot.press("down", "2", "7", "j", "space", "enter")
        await shows(pilot, "may it be changed")
        await pilot.press("y")
        await until(pilot, lambda: labels(controller, "ai-rerank") == ["7", "1"])


async def test_what_was_typed_wrong_is_told_and_nothing_of_it_is_lost(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, controller, "ai-rerank")
        await pilot.press("enter")
        await shows(pilot, "GPUs in order")
        await pilot.press("end", "backspace", *"99", "tab", *"2GiB", "enter")
        await shows(pilot, "there is no GPU “99”", "2GiB")
        await pilot.press("shift+tab", "backspace", "backspace", "3", "tab", "backspace", "enter")
        await shows(pilot, "may it be changed")
        await pilot.press("y")
        await until(pilot, lambda: labels(controller, "ai-rerank") == ["3"])
        assert len(controller.watch.snapshot().draft.past) == 1, "one edit, to be taken back as one"


async def test_an_empty_field_leaves_each_of_several_services_as_it_is(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("asterisk", "enter")
        await shows(pilot, "6 services at once", "each as it is")
        await pilot.press("tab", "tab", "9", "enter")
        await shows(pilot, "may they be changed")
        await pilot.press("y")
        await until(pilot, lambda: all(service.priority == 9 for service in controller.watch.snapshot().services))
        assert labels(controller, "ai-vision") == ["4", "5"]


async def test_marked_services_are_edited_at_once_and_taken_back_at_once(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, controller, "ai-asr")
        await pilot.press("space", "space", "6")
        await shows(pilot, "ai-asr, ai-emb: unmanaged containers; may they be changed")
        await pilot.press("y")
        await until(
            pilot, lambda: labels(controller, "ai-asr") == ["3", "6"] and labels(controller, "ai-emb") == ["1", "6"]
        )
        await pilot.press("d")
        await until(
            pilot, lambda: not service(controller, "ai-asr").enabled and not service(controller, "ai-emb").enabled
        )
        await pilot.press("u")
        await until(pilot, lambda: service(controller, "ai-asr").enabled and service(controller, "ai-emb").enabled)
        await pilot.press("escape")
        await shows_no(pilot, "●")


async def test_all_that_is_shown_is_marked_by_one_key(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("asterisk")
        await until(pilot, lambda: screen_text(app).count("●") == 6)
        await pilot.press("asterisk")
        await shows_no(pilot, "●")


async def test_save_writes_a_revision_and_apply_carries_it_out(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, controller, "ai-rerank")
        await pilot.press("3")
        await shows(pilot, "may it be changed")
        await pilot.press("y", "ctrl+s")
        await until(pilot, lambda: controller.watch.snapshot().draft.saved.revision == 2)
        await pilot.press("a")
        await shows(pilot, "Carry this out?", "ai-rerank will be away", "as docker run")
        await pilot.press("y")
        await shows(pilot, "[Launch]")
        await shows(pilot, "✓ done")
        await until(pilot, lambda: len(service(controller, "ai-rerank").running_on) == 2)
        await pilot.press("h")
        await shows(pilot, "edited on the screen")


async def test_disable_then_apply_stops(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, controller, "ai-asr")
        await press_and_adopt(pilot, "d")
        await shows(pilot, "running, disabled")
        await pilot.press("a")
        await shows(pilot, "stop ai-asr", "ai-asr will stop.")
        await pilot.press("y")
        await until(pilot, lambda: service(controller, "ai-asr").state == "exited")


async def test_a_running_apply_is_cancelled_and_taken_back(open_controller: Opening) -> None:
    controller = open_controller(settle_s=60, in_background=True)
    app = app_of(controller)
    old_container = service(controller, "ai-rerank").container
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await select(pilot, controller, "ai-rerank")
        await press_and_adopt(pilot, "6")
        await until(pilot, lambda: labels(controller, "ai-rerank") == ["2", "6"])
        await pilot.press("a")
        await shows(pilot, "Carry this out?")
        await pilot.press("y")
        await shows(pilot, "watch it come up", "ai-rerank: starting")
        await pilot.press("v", "X")
        await shows(pilot, "Cancel apply 1?", "is rolled back")
        await pilot.press("y")
        await shows(pilot, "it was cancelled by alice")
        await until(pilot, lambda: controller.history.record(1).result == "rolled_back")
        await until(pilot, lambda: service(controller, "ai-rerank").running)
        new_container = service(controller, "ai-rerank").container
        assert old_container is not None and new_container is not None and new_container.id == old_container.id


async def test_the_question_before_a_stop_names_what_stops(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, controller, "ai-asr")
        await pilot.press("x")
        await shows(pilot, "Stop ai-asr?", "ai-asr will stop.")
        await pilot.press("n")
        await pilot.press("r")
        await shows(pilot, "Restart ai-asr?", "ai-asr will be away until the new start answers")
        await pilot.press("y")
        await shows(pilot, "✓ done")


async def test_rows_are_sorted_by_any_column_and_filtered_by_pattern(controller: LocalController) -> None:
    app = app_of(controller)

    def order() -> list[str]:
        lines = screen_text(app).split("STATE")[1].splitlines()
        names = [line.split()[0] for line in lines if line.strip() and not line.startswith(" [")]
        return [name for name in names if name.startswith(("ai-", "notebook"))][:6]

    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: len(order()) == 6)
        initial_order = order()
        for _ in range(4):
            await pilot.press("full_stop")
        await shows(pilot, "NEEDS/GPU ▲")
        assert order() == ["notebook", "ai-asr", "ai-rerank", "ai-llm", "ai-emb", "ai-vision"]
        await pilot.press("semicolon")
        await shows(pilot, "NEEDS/GPU ▼")
        assert order()[0] == "ai-vision"
        for _ in range(4):
            await pilot.press("comma")
        assert order() == initial_order
        await pilot.press("slash", *"!ai-[ael]", "enter")
        await until(pilot, lambda: order() == ["notebook", "ai-rerank", "ai-vision"])
        await pilot.press("escape")
        await until(pilot, lambda: order() == initial_order)


async def test_chosen_columns_are_found_again_at_the_next_start(open_controller: Opening) -> None:
    from gputui.app.config.ui_state import ui_state_path

    controller = open_controller()
    app = app_of(controller, ui_state_path=ui_state_path())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("C")
        await shows(pilot, "[ ] PROJECT")
        await pilot.press("space", "down", "space", "enter")
        await shows(pilot, "PROJECT")
        await shows_no(pilot, "BACKEND")
        await pilot.press("c")
    second_app = app_of(controller, ui_state_path=ui_state_path())
    async with second_app.run_test(size=SIZE) as pilot:
        await shows(pilot, "PROJECT")
        assert "BACKEND" not in screen_text(second_app)


async def test_a_fix_is_taken_from_the_finding(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await select(pilot, controller, "ai-asr")
        await pilot.press("F")
        await shows(pilot, "no finding about ai-asr proposes another", "▌ argument")


async def test_the_service_is_inspected_with_its_command_and_no_secret(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=(140, 60)) as pilot:
        await select(pilot, controller, "ai-llm")
        await pilot.press("i")
        await shows(pilot, "docker run --detach --name ai-llm", "as the engine has it")
        await pilot.press("escape")
        await shows_no(pilot, "as the engine has it")


async def test_there_is_no_shell_in_a_simulated_container(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await pilot.press("e")
        await shows(pilot, "is simulated: there is no")


async def test_edits_that_are_not_saved_are_asked_about_at_the_end(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await press_and_adopt(pilot, "6")
        await until(pilot, lambda: len(controller.watch.snapshot().draft.changed) == 1)
        await pilot.press("q")
        await shows(pilot, "1 edit is not saved. Quit without saving?")
        await pilot.press("n")
        await shows_no(pilot, "Quit without saving?")
        assert app.is_running


async def test_readonly_takes_the_keys_away_and_guards_the_room(open_controller: Opening) -> None:
    controller = open_controller(readonly=True)
    app = app_of(controller, readonly=True)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("1", "a", "d", "n", "e", "U", "enter", "v", "v", "X", "o", "o", "K")
        await pilot.pause(0.2)
        text = screen_text(app)
        assert "0-9 GPU" not in text
        assert "apply" not in text.splitlines()[-1]
        assert "signal" not in text.splitlines()[-1]
        assert len(app.screen_stack) == 1
        assert controller.watch.snapshot().draft.changed == ()


async def test_sixteen_lines_or_cards_whatever_the_room(open_controller: Opening) -> None:
    controller = open_controller("mixed-server")
    for size, style in (((80, 24), "1:0"), ((120, 40), "╭"), ((200, 50), "╭"), ((300, 80), "╭")):
        app = app_of(controller)
        async with app.run_test(size=size) as pilot:
            await shows(pilot, "L40S")
            lines = screen_text(app).splitlines()
            assert len(lines) == size[1]
            assert any(style in line for line in lines)
            assert "tts" in screen_text(app)
            assert "? help" in lines[-1] and "q quit" in lines[-1]


async def test_other_keys_by_the_settings_are_those_of_the_help(controller: LocalController) -> None:
    from gputui.app.config.preferences import Preferences

    keys = {"pane.history": "f7", "draft.undo": "ctrl+u,f8"}
    app = app_of(controller, preferences=Preferences(keys=keys))
    async with app.run_test(size=(140, 70)) as pilot:
        await pilot.press("f7")
        await shows(pilot, "[History]")
        await pilot.press("question_mark")
        await shows(pilot, "f7", "pane.history")
        line = next(line for line in screen_text(app).splitlines() if "draft.undo" in line)
        assert "^u" in line and "f8" in line


async def test_more_rows_than_fit_are_gone_through_by_screenfuls(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=(60, 20)) as pilot:
        await shows(pilot, "notebook")
        names = [service.name for service in controller.watch.snapshot().services]
        table = app.screen.query_one(ServicePane)

        def selected() -> str:
            return table.selected.name if table.selected else ""

        for key, place in (("G", -1), ("g", 0), ("pagedown", None), ("home", 0), ("end", -1), ("pageup", None)):
            previous = selected()
            await pilot.press(key)
            if place is None:
                await until(pilot, lambda previous=previous: selected() != previous)  # type: ignore[misc]
            else:
                await until(pilot, lambda place=place: selected() == names[place])  # type: ignore[misc]
        await pilot.press("G", "k", "j")
        await until(pilot, lambda: selected() == names[-1])


async def test_the_revision_before_comes_back_by_one_key_and_a_question(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await save_second_revision(pilot, controller)
        await pilot.press("ctrl+z")
        await shows(pilot, "Go back to the revision before this one?")
        await pilot.press("y")
        await until(pilot, lambda: controller.watch.snapshot().draft.saved.revision == 3)
        assert labels(controller, "ai-rerank") == ["2"]


async def test_new_gpus_and_files_are_looked_for(controller: LocalController, monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_of(controller)
    looked: list[str] = []
    monkeypatch.setattr(controller.watch, "rescan", lambda: looked.append("yes"))
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await pilot.press("f5")
        await shows(pilot, "looking for GPUs")
        assert looked == ["yes"]


async def test_what_is_wrong_in_a_compose_file_is_told_and_stays_among_the_findings(
    open_controller: Opening, tmp_path: Path
) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("services:\n  llm: {image: vllm, gpus: all}\n")
    app = app_of(open_controller(files=[file]))
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await shows(pilot, "llm")
        file.write_text("services:\n  llm: [1\n")
        await shows(pilot, "compose.yaml:", "not YAML")
        await pilot.press("f")
        await shows(pilot, "▲ compose.yaml:3: not YAML", "(what was read before stays)")
        file.write_text("services:\n  llm: {image: vllm}\n  more: {image: vllm, gpus: all}\n")
        await shows(pilot, "more")


async def test_nothing_is_saved_while_the_compose_file_cannot_be_read(open_controller: Opening, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("services:\n  llm: [1\n")
    controller = open_controller(files=[file])
    app = app_of(controller)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await move_ai_rerank(pilot, controller)
        await pilot.press("ctrl+s")
        await shows(pilot, "is saved or applied until it is")
        assert controller.history.revisions() == ()
        file.write_text("services:\n  llm: {image: vllm}\n")
        await until(pilot, lambda: not controller.watch.snapshot().notes)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(controller.history.revisions()) == 2)


async def test_a_fallback_that_nobody_needs_is_told(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await pilot.press("b")
        await shows(pilot, "no GPU was gone at the last apply")


async def test_the_palette_has_everything_that_can_be_done_now(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("ctrl+p")
        await pilot.pause(0.3)
        await pilot.press(*"apply")
        await shows(pilot, "save the draft and carry the plan out")
        await pilot.press("escape", "escape")
        await pilot.press("ctrl+p", *"strateg")
        await shows(pilot, "what each strategy would assign")
        await pilot.press("enter")
        await shows(pilot, "Strategies    reserve")
        await pilot.press("escape", "ctrl+p", *"ai-vis")
        await shows(pilot, "go to this service")
        await pilot.press("enter", "i")
        await shows(pilot, "ai-vision", "lmsysorg/sglang")


async def test_a_theme_is_seen_while_it_is_chosen_and_left_as_it_was(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("T", "j")
        await until(pilot, lambda: app.theme == "gputui-light")
        await pilot.press("escape")
        await until(pilot, lambda: app.theme == "gputui-dark")


async def test_marks_are_told_with_what_they_mean(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("space")
        await shows(pilot, "1 marked: keys mean it · esc unmarks")
        await pilot.press("space")
        await shows(pilot, "2 marked: keys mean these · esc unmarks")
        await pilot.press("escape")
        await shows_no(pilot, "marked: keys")


async def test_what_speaks_against_an_apply_stands_before_its_steps(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=(80, 24)) as pilot:
        await select(pilot, controller, "ai-rerank")
        await press_and_adopt(pilot, "1")
        await shows(pilot, "over by")
        await pilot.press("a")
        await shows(pilot, "Carry this out?")
        text = screen_text(app)
        assert text.index("▲ ai-rerank needs") < text.index("1 recreate ai-rerank")
        await shows(pilot, "↑↓ more")


async def test_a_service_is_made_anew_as_its_compose_file_says(open_controller: Opening, tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text("name: ai\nservices:\n  ai-rerank:\n    image: ai/rerank:3\n")
    controller = open_controller(files=[path])
    app = app_of(controller)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await select(pilot, controller, "notebook")
        await pilot.press("R")
        await shows(pilot, "nothing to do: notebook")
        await shows(pilot, "ai-rerank differs from its Compose file: image — R, or")
        await select(pilot, controller, "ai-rerank")
        await pilot.press("R")
        await shows(pilot, "Carry this out?", "ai/rerank:2", "ai/rerank:3")
        await pilot.press("y")
        await shows(pilot, "✓ done")
        await until(pilot, lambda: getattr(service(controller, "ai-rerank").container, "image", "") == "ai/rerank:3")


async def test_a_finding_about_another_service_is_said_to_be_elsewhere(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, controller, "ai-rerank")
        await press_and_adopt(pilot, "1")
        await shows(pilot, "▲ ai-rerank needs")
        await select(pilot, controller, "notebook")
        await shows(pilot, "▲ elsewhere: ai-rerank needs")


async def type_gpus(pilot: Pilot[None], controller: LocalController, gpus: str) -> None:
    """Type GPUs for the notebook, which has GPU 7."""
    await select(pilot, controller, "notebook")
    await pilot.press("enter")
    await shows(pilot, "GPUs in order")
    await pilot.press("end", "ctrl+u", *gpus)
    await press_and_adopt(pilot, "enter")
    await shows(pilot, f"7 → {gpus}")


async def test_gpus_are_typed_as_a_run(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await type_gpus(pilot, controller, "2-4")


async def test_each_press_changes_how_the_gpus_look(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        looks = [gpu_lines(app)]
        for _ in range(6):
            await pilot.press("c")
            await pilot.pause(0.2)
            assert gpu_lines(app) != looks[-1]
            looks.append(gpu_lines(app))
        assert len(set(looks)) == 3, "cards, rows, one line"


def gpu_lines(app: GputuiApp) -> int:
    return app.screen.query("GpuCards").only_one().size.height


async def test_a_service_is_found_by_a_gpu_within_a_run(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await type_gpus(pilot, controller, "2-4")
        await pilot.press("slash", *"[^,]3 4", "enter")
        await shows(pilot, "1 of 6 services")


async def test_the_gpu_picker_fits_the_smallest_screen(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        await shows(pilot, "GPUs in order", "does not fit")
        assert not app.screen.query_one("#headroom").show_horizontal_scrollbar


async def test_a_finding_is_not_told_twice_where_all_are_listed(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, controller, "ai-rerank")
        await press_and_adopt(pilot, "1")
        await shows(pilot, "▲ ai-rerank needs")
        line = app.screen.query("FindingLine").only_one()
        assert line.region.height
        await pilot.press("f")
        await until(pilot, lambda: not line.region.height)
        await pilot.press("p")
        await until(pilot, lambda: bool(line.region.height))


async def test_a_digit_without_a_gpu_is_told(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await select(pilot, controller, "ai-asr")
        await pilot.press("8", "ctrl+l")
        await shows(pilot, "there is no GPU")


async def test_a_digit_in_a_pane_says_where_digits_count(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await pilot.press("h", "h", "3")
        await shows(pilot, "digits give GPUs to a service")
        assert not controller.watch.snapshot().draft.changed


async def test_a_digit_that_a_pane_has_a_use_for_says_nothing(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await pilot.press("l", "l", "3")
        await pilot.pause(0.3)
        await shows_no(pilot, "digits give GPUs")
