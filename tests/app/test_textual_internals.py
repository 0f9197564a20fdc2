"""The private names of Textual that gputui uses still exist in the installed Textual."""

from typing import Any

import pytest
from rich.console import Console
from textual import _compositor
from textual.app import App
from textual.drivers._writer_thread import WriterThread
from textual.drivers.linux_driver import LinuxDriver
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.widgets import DataTable

NAMES: dict[str, tuple[str, ...]] = {
    "compositor": ("ChopsUpdate", "CompositorUpdate", "LayoutUpdate"),
    "app": (
        "_display", "_running", "_closed", "_batch_count", "_handle_exception", "_return_code", "_fatal_error",
        "_exit_renderables", "_close_messages_no_wait", "_driver", "_keymap",
    ),
    "console": ("_color_system",),
    "driver": ("_writer_thread",),
    "writer": ("_queue",),
    "pump": ("_dispatch_message", "_is_mounted"),
    "screen": ("_layout_required",),
    "table": (
        "_render_line", "_render_cell", "_clear_caches", "_line_cache", "_row_render_cache", "_row_renderable_cache",
        "_cell_render_cache", "_show_hover_cursor", "_pseudo_class_state",
    ),
}  # fmt: skip


def owners() -> dict[str, Any]:
    app: App[None] = App()
    return {
        "compositor": _compositor,
        "app": app,
        "console": Console(),
        "driver": LinuxDriver(app),
        "writer": WriterThread(None),  # type: ignore[arg-type]
        "pump": MessagePump(),
        "screen": Screen[None](),
        "table": DataTable[str](),
    }


@pytest.mark.parametrize(("owner", "name"), [(owner, name) for owner, names in NAMES.items() for name in names])
async def test_a_private_name_of_textual_still_exists(owner: str, name: str) -> None:
    assert hasattr(owners()[owner], name)
