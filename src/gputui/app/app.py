"""The Textual app: composition, signals, and nothing else."""

import argparse
import asyncio
import os
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# Frames beyond 15 a second cannot be told apart over SSH; Textual reads this once, when it is imported.
if os.environ.get("SSH_CONNECTION"):
    os.environ.setdefault("TEXTUAL_FPS", "15")

from rich.console import RenderableType
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import App
from textual.filter import LineFilter
from textual.screen import Screen

from gputui.app.cell_diff import CellGrid
from gputui.app.fence import ControlCharacterFence
from gputui.app.messages import SnapshotArrived
from gputui.app.screens.main import MainScreen
from gputui.app.theme_file import read_themes
from gputui.control.room import ControlRoom
from gputui.domain.errors import UsageError
from gputui.domain.snapshot import Snapshot

EXIT_LIMIT_S = 3.0

DEFAULT_THEME = "gputui-dark"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppOptions:
    """How the screen is to be."""

    themes: Path
    theme: str | None = None
    readonly: bool = False


class GputuiApp(App[None]):
    """Shows a control room."""

    TITLE = "gputui"
    CSS_PATH = ["app.tcss", "screens/main.tcss"]
    ENABLE_COMMAND_PALETTE = True

    def __init__(self, room: ControlRoom, options: AppOptions) -> None:
        super().__init__()
        self._room = room
        self._options = options
        self.animation_level = "none"
        self._cells = CellGrid()
        themes, self._theme_faults = read_themes(options.themes)
        for theme in themes:
            self.register_theme(theme)
        if options.theme and options.theme not in self.available_themes:
            names = ", ".join(sorted(self.available_themes))
            raise UsageError(f"there is no theme “{options.theme}”", f"themes: {names}")
        chosen = options.theme or DEFAULT_THEME
        self.theme = chosen if chosen in self.available_themes else "textual-dark"

    def get_line_filters(self) -> list[LineFilter]:
        """Textual's own, and the fence behind them."""
        return [*super().get_line_filters(), ControlCharacterFence()]

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        """Write only the cells that change."""
        if isinstance(renderable, (ChopsUpdate, LayoutUpdate)) and self._is_written():
            colors = self.console._color_system
            renderable = self._cells.differences(renderable, self.size.width, colors)
        super()._display(screen, renderable)

    def _is_written(self) -> bool:
        """Whether Textual would write an update now; one that it drops must not count as shown."""
        return self._running and not self._closed and not self.is_headless and not self._batch_count

    def action_repaint(self) -> None:
        """The terminal was disturbed: draw everything again."""
        self._cells.forget()
        self.screen.refresh(repaint=True, layout=True)

    def on_resize(self) -> None:
        """What a terminal shows after a resize is its own affair."""
        self._cells.forget()

    def get_default_screen(self) -> Screen[None]:
        """The main screen."""
        return MainScreen(self._room, readonly=self._options.readonly)

    def on_mount(self) -> None:
        """Listen to the room and to signals that end a session."""
        self._room.on_change(self._arrived)
        for disturbed in (self.app_suspend_signal, self.app_resume_signal):
            disturbed.subscribe(self, lambda _: self._cells.forget())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            with suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, self._end_of_session)
        for fault in self._theme_faults:
            self.notify(f"theme left out: {fault}", severity="warning", markup=False)

    def _end_of_session(self) -> None:
        """Leave, and make sure of it: with its terminal gone Textual waits for ever to write its last bytes."""
        watchdog = threading.Timer(EXIT_LIMIT_S, os._exit, (0,))
        watchdog.daemon = True
        watchdog.start()
        self.exit()

    def _arrived(self, snapshot: Snapshot) -> None:
        if self.is_running:
            self.post_message(SnapshotArrived(snapshot))

    def on_snapshot_arrived(self, message: SnapshotArrived) -> None:
        """Hand it to the main screen, whatever dialog lies over it."""
        main = self.screen_stack[0] if self.screen_stack else None
        if isinstance(main, MainScreen) and main.is_mounted:
            main.show(message.snapshot)


def run_app(room: ControlRoom, arguments: argparse.Namespace, themes: Path) -> int:
    """Run the screen until it is left; the exit code.

    Raises:
        UsageError: there is no such theme, or no terminal.
    """
    if os.environ.get("TERM", "dumb") == "dumb" or not os.isatty(1):
        raise UsageError("the screen needs a terminal", "use a verb instead, as in `gputui gpus`; see --help")
    app = GputuiApp(room, AppOptions(themes=themes, theme=arguments.theme, readonly=arguments.readonly))
    app.run()
    apply = room.snapshot().apply
    if apply is not None and apply.under_way:
        how = (
            "ends with the screen, for it is simulated" if arguments.demo is not None else "goes on without the screen"
        )
        sys.stderr.write(f"gputui: apply {apply.id} of {apply.operator} {how}; `gputui status` shows how it stands\n")
    return app.return_code or 0
