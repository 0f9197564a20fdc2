"""Processes, findings, history, events, GPUs and new services: their content and keys."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gputui.app.screens.gpu_screen import Gpus
from gputui.controller.local_controller import LocalController
from gputui.domain.assignment import Assignments
from gputui.domain.errors import Refusal
from gputui.state.revisions import Revisions
from tests.app.conftest import Opening, app_of, screen_text
from tests.app.piloting import SIZE, press_and_adopt, save_second_revision, select, shows, shows_no, until
from tests.builders import words


async def test_processes_are_named_by_service_container_and_user(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=(160, 42)) as pilot:
        await pilot.press("o")
        await shows(pilot, "python train.py", "bob 18.0")
        line = next(line for line in screen_text(app).splitlines() if " 4007 " in line)
        assert line.split()[:7] == ["0", "4007", "root", "81", "43.0", "ai-llm", "ai-llm"]
        await pilot.press("o", "t")
        await shows(pilot, "all of this service", "all of this user")
        await pilot.press("slash", *"alice", "enter")
        await shows(pilot, "only alice", "python eval.py")
        await shows_no(pilot, "python train.py")
        await pilot.press("escape", "escape")
        await shows(pilot, "python train.py")


async def test_a_signal_is_asked_about_and_not_sent_to_what_is_simulated(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await pilot.press("o", "o", "K")
        await shows(pilot, "Send which signal?", "It belongs to ai-llm")
        await pilot.press("t")
        await shows(pilot, "simulated processes take no signals")


def test_a_signal_reaches_the_process_that_was_meant_and_no_other() -> None:
    from gputui.gpus.processes import send_signal, start_time

    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        started_at = start_time(process.pid)
        assert started_at is not None
        with pytest.raises(Refusal, match="is a different process now"):
            send_signal(process.pid, started_at + 1, "TERM")
        assert process.poll() is None
        send_signal(process.pid, started_at, "TERM")
        assert process.wait(10) == -15
    with pytest.raises(Refusal, match="not there any more"):
        send_signal(process.pid, started_at, "TERM")
    with pytest.raises(Refusal, match="cannot be seen from here"):
        send_signal(os.getpid(), None, "TERM")


async def test_a_finding_leads_to_its_service_or_its_gpu(open_controller: Opening) -> None:
    controller = open_controller()
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await select(pilot, controller, "ai-rerank")
        await press_and_adopt(pilot, "1")
        await shows(pilot, "over by")
        await pilot.press("g", "f")
        await shows(pilot, "warning", "GPU 0, 3 or 6 would fit")
        await pilot.press("f", "enter", "i")
        await shows(pilot, "bge-reranker-v2-m3", "findings:")
    mixed = open_controller("mixed-server")
    app = app_of(mixed)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("f", "f")
        await shows(pilot, "rows wait for a reset")
        await pilot.press("enter")
        await shows(pilot, "remapped rows")


async def test_revisions_are_compared_opened_and_gone_back_to(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await save_second_revision(pilot, controller)
        await pilot.press("0", "ctrl+s")
        await until(pilot, lambda: controller.watch.snapshot().draft.saved.revision == 3)
        await pilot.press("h")
        await shows(pilot, "revisions: 3, applies: 0")
        await pilot.press("h", "g", "enter")
        await shows(pilot, "against revision 2", "ai-rerank: GPUs 2,6 → 2,6,0")
        await pilot.press("escape", "space", "j", "j", "space")
        await shows(pilot, "from revision 1 to revision 3", "GPUs 2 → 2,6,0")
        await pilot.press("escape", "k", "R")
        await shows(pilot, "Go back to revision 2?")
        await pilot.press("y")
        await until(pilot, lambda: controller.watch.snapshot().draft.saved.revision == 4)
        await shows(pilot, "Carry the rollback out now?")


async def test_what_happens_elsewhere_is_told_and_kept(open_controller: Opening) -> None:
    controller = open_controller()
    app = app_of(controller)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await shows(pilot, "running, unmanaged")
        engine = controller._engine
        engine.stop("ai-asr", 1)
        controller.watch.rescan()
        await shows(pilot, "ai-asr ended")
        await pilot.press("w")
        await shows(pilot, "since the screen was opened")


async def test_each_gpu_with_all_its_values_and_links(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=(140, 50)) as pilot:
        await pilot.press("m")
        await shows(pilot, "GPU-00000000-4100", "18 of 18 up", "gen 5 of 5 ×16 of ×16", "PCIe in")
        await pilot.press("j")
        await shows(pilot, "GPU-00000001-4100", "bob: python 81231")
        await pilot.press("T")
        await shows(pilot, "NV18", "Placements of several GPUs")
        await pilot.press("question_mark")
        await shows(pilot, "how the GPUs reach each other")
        await pilot.press("escape", "escape")
        await shows(pilot, "SERVICE")


async def test_what_does_not_fit_of_a_gpu_is_scrolled_to(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=(60, 14)) as pilot:
        await pilot.press("m")
        await until(pilot, lambda: isinstance(app.screen, Gpus))
        room_for = app.screen.query_one("#gpu-detail")
        await until(pilot, lambda: room_for.max_scroll_y > 0)
        await pilot.press("ctrl+d")
        await until(pilot, lambda: room_for.scroll_y > 0)
        await pilot.press("ctrl+u")
        await until(pilot, lambda: room_for.scroll_y == 0)
        await pilot.press("T")
        await shows(pilot, "NV18")
        await until(pilot, lambda: room_for.max_scroll_x > 0)
        await pilot.press("greater_than_sign")
        await until(pilot, lambda: room_for.scroll_x > 0)
        await pilot.press("less_than_sign")
        await until(pilot, lambda: room_for.scroll_x == 0)


async def test_the_other_half_and_the_whole_screen(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("o")
        await shows(pilot, "t tree")
        await pilot.press("z")
        await shows_no(pilot, "SERVICE               BACKEND")
        await pilot.press("escape")
        await shows(pilot, "STATE")
        await pilot.press("tab")
        await shows(pilot, "0-9 GPU")
        await pilot.press("right_square_bracket")
        await shows(pilot, "[Findings]")
        await pilot.press("left_square_bracket", "left_square_bracket")
        await shows(pilot, "[Logs]")


COMPOSE = """\
# the services of our group
services:
  web:
    image: nginx:1   # the front
    environment: {A: "1"}

  # keep this one last
  db:
    image: postgres:16

volumes:
  data: {}
"""


async def test_a_new_service_is_looked_at_before_it_is_written(open_controller: Opening, tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text(COMPOSE)
    controller = open_controller(files=[path])
    app = app_of(controller)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await pilot.press("n")
        await shows(pilot, "jupyter/pytorch-notebook")
        await pilot.press(*"ai chat", "enter")
        await shows(pilot, "“ai chat” is no name of a service")
        await pilot.press(*["backspace"] * 5, *"-chat", "tab", *"vllm/vllm-openai:v1", "tab", *"--model /m/q")
        await pilot.press("tab", "tab", *"/models:/m:ro", "tab", *"6", "enter")
        await shows(pilot, "+  ai-chat:", "this would be written")
        assert path.read_text() == COMPOSE
        await pilot.press("ctrl+s")
        await shows(pilot, "written to")
        await until(pilot, lambda: any(service.name == "ai-chat" for service in controller.watch.snapshot().services))
    text = path.read_text()
    assert text.startswith(COMPOSE.partition("\nvolumes")[0].rstrip())
    assert text.endswith("\nvolumes:\n  data: {}\n")
    assert (tmp_path / "compose.yaml.gputui-bak").read_text() == COMPOSE
    new_service = next(service for service in controller.watch.snapshot().services if service.name == "ai-chat")
    assert new_service.image == "vllm/vllm-openai:v1"
    assert [controller.watch.snapshot().inventory.gpus[6].uuid] == list(new_service.assigned)


async def test_without_a_compose_file_a_new_service_is_refused_with_what_to_do(controller: LocalController) -> None:
    app = app_of(controller)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await pilot.press("n")
        await shows(pilot, "there is no Compose file", "--file COMPOSE")
        assert "New service" not in screen_text(app)


async def test_older_revisions_are_read_when_the_last_row_is_reached(controller: LocalController) -> None:
    store = controller._saved.opened()
    with store.database.writing() as connection:
        for number in range(1, 251):
            timestamp = f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z"
            Revisions.insert(
                connection, Assignments(revision=number, saved_at=timestamp, author="alice", reason=words("r"))
            )
    app = app_of(controller)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("h")
        await shows(pilot, "revisions: 100", "more below the last row", "revision 250")
        await pilot.press("h", "G")
        await shows(pilot, "revisions: 200")
        await pilot.press("G")
        await shows(pilot, "revisions: 250")
        await pilot.press("G")
        await shows(pilot, "revision 1 ")
        await shows_no(pilot, "more below")
