"""Helpers that press keys and wait for their effect."""

import os
import time
from collections.abc import Callable

from textual.pilot import Pilot

from gputui.controller.local_controller import LocalController
from gputui.domain.gpu import labels_by_uuid
from gputui.domain.service import Service
from tests.app.conftest import screen_text

SIZE = (140, 42)
PATIENCE_S = float(os.environ.get("GPUTUI_PATIENCE") or 60)


def service(controller: LocalController, name: str) -> Service:
    return next(service for service in controller.watch.snapshot().services if service.name == name)


def labels(controller: LocalController, name: str) -> list[str]:
    by_uuid = labels_by_uuid(controller.watch.snapshot().inventory.gpus)
    return [by_uuid[uuid] for uuid in service(controller, name).assigned]


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if condition():
            return
        await pilot.pause(0.05)
    raise AssertionError(f"never came true\n{screen_text(pilot.app)}")  # type: ignore[arg-type]


async def shows(pilot: Pilot[None], *texts: str) -> None:
    await until(pilot, lambda: all(text in screen_text(pilot.app) for text in texts))  # type: ignore[arg-type]


async def shows_no(pilot: Pilot[None], text: str) -> None:
    await until(pilot, lambda: text not in screen_text(pilot.app))  # type: ignore[arg-type]


async def select(pilot: Pilot[None], controller: LocalController, name: str) -> None:
    names = [service.name for service in controller.watch.snapshot().services]
    await pilot.press("g", *["j"] * names.index(name))


async def press_and_adopt(pilot: Pilot[None], key: str) -> None:
    """Press a key that edits an unmanaged container, and confirm its adoption."""
    await pilot.press(key)
    await shows(pilot, "may it be changed")
    await pilot.press("y")


async def move_ai_rerank(pilot: Pilot[None], controller: LocalController) -> None:
    """Move ai-rerank to GPU 6 in the draft."""
    await select(pilot, controller, "ai-rerank")
    await press_and_adopt(pilot, "6")
    await until(pilot, lambda: len(controller.watch.snapshot().draft.changed) == 1)


async def save_second_revision(pilot: Pilot[None], controller: LocalController) -> None:
    """Save ai-rerank on GPU 6; the first revision is the state at its adoption."""
    await move_ai_rerank(pilot, controller)
    await pilot.press("ctrl+s")
    await until(pilot, lambda: controller.watch.snapshot().draft.saved.revision == 2)
