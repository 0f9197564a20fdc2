"""The Textual app: composition and signals."""

import argparse
import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

# More than 15 frames a second make no visible difference over SSH. Textual reads this once, at import.
if os.environ.get("SSH_CONNECTION"):
    os.environ.setdefault("TEXTUAL_FPS", "15")

from rich.console import RenderableType
from rich.text import Text
from textual import work
from textual.actions import ActionParseResult
from textual.binding import Binding
from textual.dom import DOMNode
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Event, Key, Paste
from textual.filter import DimFilter, LineFilter
from textual.screen import Screen
from textual.timer import Timer
from textual.worker import WorkerFailed

from gputui.app.background import SnapshotArrived
from gputui.app.config.preferences import Preferences, config_dir, preferences_path, read_preferences
from gputui.app.config.themes import DEFAULT, MONO, default_theme, read_themes
from gputui.app.config.ui_state import UiState, read_ui_state, save_ui_state, ui_state_path
from gputui.app.dialogs.theme_picker import Themes
from gputui.app.palette import Actions
from gputui.app.screens.gpu_screen import Gpus
from gputui.app.screens.main_screen import MainScreen
from gputui.app.terminal.cell_diff import CellGrid
from gputui.app.terminal.line_filters import AsciiSigns, ControlCharacterFilter, NoColour
from gputui.app.terminal.startup_preview import terminal
from gputui.app.terminal.terminal_driver import TerminalDriver
from gputui.app.terminal.textual_internals import AppInternals, ChopsUpdate, LayoutUpdate
from gputui.app.terminal.type_ahead import TypeAhead
from gputui.controller.protocols import Controller
from gputui.domain.errors import UsageError
from gputui.domain.snapshot import Snapshot
from gputui.domain.text import clean
from gputui.domain.unexpected import UNEXPECTED, place_of, unexpected

EXIT_LIMIT_S = 3.0
LEAVE_LIMIT_S = 10.0
"""How long to wait at exit for a terminal that accepts no output."""
CATCH_UP_S = 0.1
REPORT_AGAIN_S = 60.0
"""Seconds before the same error is shown again."""
_DIMMED = DimFilter(0.72)
"""Dim text: in most themes Textual's default of 0.5 has less contrast than WCAG requires for text (4.5)."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppOptions:
    """Options of the app: `theme` is the requested theme, `fallback_theme` suits the terminal. With `ui_state_path`
    None no UI state is saved. `log` is the error log; `hand_over` is called just before the app takes the terminal."""

    themes: Path
    theme: str | None = None
    fallback_theme: str = DEFAULT
    readonly: bool = False
    ascii: bool = False
    preferences: Preferences = field(default_factory=Preferences)
    ui_state_path: Path | None = None
    log: str = "gputui's log"
    hand_over: Callable[[], None] = lambda: None


class GputuiApp(AppInternals):
    """The screen of a controller."""

    TITLE = "gputui"
    CSS_PATH = ["app.tcss", "lines.tcss", "screens/main.tcss", "screens/gpus.tcss"]
    ENABLE_COMMAND_PALETTE = True
    VERTICAL_BREAKPOINTS = [(0, "-low"), (32, "-high")]
    COMMANDS = {Actions}

    def __init__(self, controller: Controller, options: AppOptions) -> None:
        super().__init__()
        self._controller = controller
        self._options = options
        self._ui_state = read_ui_state(options.ui_state_path) if options.ui_state_path else UiState()
        self.animation_level = "none"
        self._cells = CellGrid()
        self._reported: dict[str, float] = {}
        self._catching_up: Timer | None = None
        self._typed = TypeAhead(self, super().on_event)
        themes, self._theme_faults = read_themes(options.themes)
        user_themes, faults = read_themes(config_dir() / "themes")
        self._theme_faults += faults
        for theme in (*themes, *user_themes):
            self.register_theme(theme)
        for theme_name, prefix in ((options.theme, ""), (options.preferences.theme, "settings: theme: ")):
            if theme_name and theme_name not in self.available_themes:
                names = ", ".join(sorted(self.available_themes))
                raise UsageError(f"{prefix}there is no theme “{clean(theme_name, 60)}”", f"themes: {names}")
        self.theme = self._first_theme()
        self.set_keymap(options.preferences.keys)

    def _first_theme(self) -> str:
        """The theme from the command line, the UI state or the settings, else one that suits the terminal."""
        options = self._options
        candidates = (
            options.theme,
            self._ui_state.theme,
            options.preferences.theme,
            options.fallback_theme,
            "textual-dark",
        )
        return next(theme for theme in candidates if theme in self.available_themes)

    def keep(self, **changes: object) -> None:
        """Save changes of the UI state for the next start."""
        self._ui_state = replace(self._ui_state, **changes)  # type: ignore[arg-type]
        if self._options.ui_state_path is not None:
            save_ui_state(self._options.ui_state_path, self._ui_state)

    @work
    async def action_themes(self) -> None:
        """Choose a theme."""
        current = self.theme
        gputui_names = sorted(name for name in self.available_themes if name.startswith("gputui-"))
        builtin_names = sorted(name for name in self.available_themes if not name.startswith(("gputui-", "ansi-")))
        selection: str | None = await self.push_screen_wait(Themes([*gputui_names, *builtin_names], current))
        if selection is not None:
            self.keep(theme=selection)

    def notify_desktop(self, text: str) -> None:
        """Ask the terminal for a desktop notification (OSC 777, supported by foot, kitty, wezterm and others)."""
        if self.terminal_driver is not None and not self.is_headless:
            self.terminal_driver.write(f"\x1b]777;notify;gputui;{clean(text, 200).replace(';', ',')}\x07")

    def get_line_filters(self) -> list[LineFilter]:
        """Textual's filters or no colour; ASCII where the terminal needs it; last the control-character filter."""
        defaults = [
            _DIMMED if isinstance(line_filter, DimFilter) else line_filter for line_filter in super().get_line_filters()
        ]
        filters: list[LineFilter] = [NoColour()] if self.theme == MONO else defaults
        signs = [AsciiSigns()] if self._options.ascii else []
        return [*filters, *signs, ControlCharacterFilter()]

    def get_key_display(self, binding: Binding) -> str:
        """Textual's sign for the key, or its name where the sign cannot be shown."""
        display = super().get_key_display(binding)
        return "enter" if self._options.ascii and display == "⏎" else display

    def written_update(self, update: ChopsUpdate | LayoutUpdate) -> RenderableType | None:
        """Write only changed cells; nothing while the terminal does not keep up."""
        if self._is_behind():
            self._drop_frames()
            return None
        return self._cells.differences(update, self.size.width, self.color_system)

    def get_driver_class(self) -> type[Driver]:
        """A driver that never blocks on the terminal."""
        driver_class = super().get_driver_class()
        return TerminalDriver if driver_class is LinuxDriver else driver_class

    def _is_behind(self) -> bool:
        return isinstance(self.terminal_driver, TerminalDriver) and self.terminal_driver.is_behind

    def _drop_frames(self) -> None:
        """Draw nothing until the terminal accepts output again; then draw the current state."""
        if self._catching_up is None:
            self._catching_up = self.set_interval(CATCH_UP_S, self._catch_up)

    def _catch_up(self) -> None:
        if self._catching_up is not None and not self._is_behind():
            self._catching_up.stop()
            self._catching_up = None
            self.screen.refresh(repaint=True, layout=True)

    def action_repaint(self) -> None:
        """Redraw everything, after something else has written to the terminal."""
        self._cells.forget()
        self.screen.refresh(repaint=True, layout=True)

    def on_resize(self) -> None:
        """What the terminal shows after a resize is unknown."""
        self._cells.forget()

    def get_default_screen(self) -> Screen[None]:
        """The main screen."""
        options = self._options
        return MainScreen(self._controller, options.preferences, self._ui_state, readonly=options.readonly)

    def on_load(self) -> None:
        """All input is checked; Textual takes the terminal next."""
        self._options.hand_over()

    async def on_event(self, event: Event) -> None:
        """Pass keys on one at a time."""
        if isinstance(event, (Key, Paste)) and not event.is_forwarded:
            await self._typed.take(event)
        else:
            await super().on_event(event)

    def on_mount(self) -> None:
        """Subscribe to the watch and to the signals that end a session."""
        self._controller.watch.on_change(self._arrived)
        for app_signal in (self.app_suspend_signal, self.app_resume_signal):
            app_signal.subscribe(self, lambda _: self._cells.forget())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            with suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, self._end_of_session)
        for fault in self._theme_faults:
            self.notify(f"theme left out: {fault}", severity="warning", markup=False)

    async def run_action(
        self,
        action: "str | ActionParseResult",
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Run the action of a key; its failure does not end the app."""
        try:
            return await super().run_action(action, default_namespace, namespaces)
        except Exception as error:  # whatever it is, the GPUs stay visible
            self.report(error)
            return True

    def report(self, error: Exception) -> None:
        """Log an error that need not end the app, and show it at most once a minute."""
        if self.is_headless:  # let the test fail
            self.end_with_error(error)
            return
        _log.error("an error on the screen", exc_info=error)
        text = place_of(error)
        if time.monotonic() - self._reported.get(text, float("-inf")) > REPORT_AGAIN_S:
            self._reported[text] = time.monotonic()
            self.notify(f"unexpected error: {text}; see {self._options.log}", severity="error", markup=False)

    def handle_error(self, error: Exception) -> None:
        """Report the error of a worker, and end after any other one."""
        if isinstance(error, WorkerFailed) and isinstance(error.error, Exception):
            self.report(error.error)
            return
        self.end_with_error(error)
        self.set_return_code(UNEXPECTED)

    def handle_fatal_error(self, error: BaseException | None) -> None:
        """Report where a bug is, without the values of variables that Textual would print."""
        if not self.has_exit_text and error is not None:
            _log.error("the screen was ended by an unexpected error", exc_info=error)
            self.add_exit_text(Text(unexpected(error, self._options.log).rstrip(), overflow="fold"))
        self._bound_leaving(UNEXPECTED)
        self.close_messages()

    def exit(self, result: None = None, return_code: int = 0, message: RenderableType | None = None) -> None:
        """Exit within a time limit: Textual would wait forever for a terminal that accepts no output."""
        self._bound_leaving(return_code)
        super().exit(result, return_code, message)

    def _bound_leaving(self, code: int) -> None:
        if isinstance(self.terminal_driver, TerminalDriver):
            _end_within(LEAVE_LIMIT_S, code)

    def _end_of_session(self) -> None:
        _end_within(EXIT_LIMIT_S, 0)
        self.exit()

    def _arrived(self, snapshot: Snapshot) -> None:
        if self.is_running:
            self.post_message(SnapshotArrived(snapshot))

    def on_snapshot_arrived(self, message: SnapshotArrived) -> None:
        """Pass the snapshot to the screens that show it, also behind a dialog."""
        for screen in self.screen_stack:
            if isinstance(screen, (MainScreen, Gpus)) and screen.is_mounted:
                try:
                    screen.show(message.snapshot)
                except Exception as error:  # the next snapshot may work
                    self.report(error)


def _end_within(limit_s: float, code: int) -> None:
    watchdog = threading.Timer(limit_s, os._exit, (code,))
    watchdog.daemon = True
    watchdog.start()


def needs_ascii(preferences: Preferences, *, requested: bool) -> bool:
    """Whether to use only ASCII: as requested or set, else by the locale and the terminal."""
    if requested or preferences.ascii is not None:
        return requested or bool(preferences.ascii)
    if os.environ.get("TERM") == "linux":
        return True  # the default console font of the kernel lacks most of the signs (GIO_UNIMAP)
    # Read the environment: Python itself treats the C locale as UTF-8.
    locale = next((value for name in ("LC_ALL", "LC_CTYPE", "LANG") if (value := os.environ.get(name))), "")
    return bool(locale) and "utf" not in locale.lower()


def run_app(controller: Controller, arguments: argparse.Namespace, themes: Path, hand_over: Callable[[], None]) -> int:
    """Run the app and return its exit code. `hand_over` is called just before it takes the terminal.

    Raises:
        UsageError: the theme does not exist, there is no terminal, or the settings are invalid.
    """
    preferences = read_preferences(preferences_path())
    term, colours = os.environ.get("TERM", "dumb"), os.environ.get("COLORTERM", "")
    options = AppOptions(
        themes=themes,
        theme=arguments.theme,
        fallback_theme=default_theme(term, colours, no_color=bool(os.environ.get("NO_COLOR"))),
        readonly=arguments.readonly,
        ascii=needs_ascii(preferences, requested=arguments.ascii),
        preferences=preferences,
        ui_state_path=ui_state_path(),
        log=arguments.log,
        hand_over=hand_over,
    )
    app = GputuiApp(controller, options)
    if terminal() is None:
        raise UsageError("the screen needs a terminal", "use a verb instead, as in `gputui gpus`; see --help")
    app.run(mouse=preferences.mouse and not arguments.no_mouse)
    apply = controller.watch.snapshot().apply
    if apply is not None and apply.under_way:
        ending = (
            "ends with the screen, for it is simulated" if arguments.demo is not None else "goes on without the screen"
        )
        sys.stderr.write(
            f"gputui: apply {apply.id} of {apply.operator} {ending}; `gputui status` shows how it stands\n"
        )
    return app.return_code or 0
