"""Every private name of Textual that gputui uses, in one place.

Textual may change them in any release, so it is pinned; `tests/app/test_textual_internals.py` checks that each of them
still exists in the installed one.
"""

import sys
from typing import Any

from rich.color import ColorSystem
from rich.console import RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.app import App
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.strip import Strip
from textual.widgets import DataTable

__all__ = [
    "AppInternals",
    "ChopsUpdate",
    "CompositorUpdate",
    "GuardedDispatch",
    "LayoutUpdate",
    "Lines",
    "TableInternals",
    "is_layout_pending",
    "is_mounted",
    "keymap_of",
    "queued_writes",
]

Lines = list[list[Segment]]
"""The rendered lines of a table cell."""


class AppInternals(App[None]):
    """Hooks into what an app writes to the terminal, and into how it ends after an error."""

    def written_update(self, update: ChopsUpdate | LayoutUpdate) -> RenderableType | None:
        """The update to write instead of this one; None writes nothing."""
        return update

    def handle_error(self, error: Exception) -> None:
        """An exception that no handler caught."""
        self.end_with_error(error)

    def handle_fatal_error(self, error: BaseException | None) -> None:
        """Replaces the traceback that Textual would print, and its exit."""
        raise NotImplementedError

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        # The only place between the compositor and the driver.
        if isinstance(renderable, (ChopsUpdate, LayoutUpdate)) and self._is_written():
            update = self.written_update(renderable)
            if update is None:
                return
            renderable = update
        super()._display(screen, renderable)

    def _is_written(self) -> bool:
        # The conditions of `App._display`: an update that it drops must not count as shown.
        return self._running and not self._closed and not self.is_headless and not self._batch_count

    def _handle_exception(self, error: Exception) -> None:
        # Textual has no public hook for uncaught exceptions.
        self.handle_error(error)

    def _fatal_error(self) -> None:
        # Textual's own prints a traceback with the values of local variables.
        self.handle_fatal_error(sys.exc_info()[1])

    def end_with_error(self, error: Exception) -> None:
        """End the app as Textual does after an uncaught exception."""
        super()._handle_exception(error)

    def set_return_code(self, code: int) -> None:
        """Textual's own is 1 after an uncaught exception."""
        self._return_code = code

    @property
    def has_exit_text(self) -> bool:
        """Whether something is already to be printed after the app has ended."""
        return bool(self._exit_renderables)

    def add_exit_text(self, text: Text) -> None:
        """Print this after the app has ended; `App.panic` would end it as well."""
        self._exit_renderables.append(text)

    def close_messages(self) -> None:
        """End the app from within an exception handler, where `App.exit` comes too late."""
        self._close_messages_no_wait()

    @property
    def terminal_driver(self) -> Driver | None:
        """The driver, to write sequences that Textual does not know, and to see whether it is behind."""
        return self._driver

    @property
    def color_system(self) -> ColorSystem | None:
        """The colour system as Rich's styles are rendered with; the public property is only its name."""
        return self.console._color_system


class GuardedDispatch(MessagePump):
    """A hook around all message handlers of a screen or widget."""

    def handle_dispatch_error(self, error: Exception) -> None:
        """An exception of a message handler."""
        raise NotImplementedError

    async def _dispatch_message(self, message: Message) -> None:
        # All handlers of a message run in here, so that an exception can be caught before it ends the app.
        try:
            await super()._dispatch_message(message)
        except Exception as error:  # a defect in one pane must not take the others away
            self.handle_dispatch_error(error)


class TableInternals(DataTable[Text]):
    """Hooks into how a table renders its lines and cells, and into its caches."""

    def render_table_line(self, y: int, x1: int, x2: int, base_style: Style) -> Strip:
        """Render a line; Textual's cache forgets all lines when one cell changes."""
        return super()._render_line(y, x1, x2, base_style)

    def render_table_cell(
        self, row_index: int, column_index: int, base_style: Style, width: int, cursor: bool, hover: bool
    ) -> Lines:
        """Render a cell; a style that depends on the cursor cannot be part of its text."""
        return super()._render_cell(row_index, column_index, base_style, width, cursor, hover)

    def forget_rendered(self) -> None:
        """Textual has cleared its own caches."""

    def _render_line(self, y: int, x1: int, x2: int, base_style: Style) -> Strip:
        return self.render_table_line(y, x1, x2, base_style)

    def _render_cell(
        self,
        row_index: int,
        column_index: int,
        base_style: Style,
        width: int,
        cursor: bool = False,
        hover: bool = False,
    ) -> Lines:
        return self.render_table_cell(row_index, column_index, base_style, width, cursor, hover)

    def _clear_caches(self) -> None:
        super()._clear_caches()
        self.forget_rendered()

    def clear_render_caches(self) -> None:
        """Drop what Textual has rendered. A changed cell makes it render all cells again, but it keeps the old ones,
        up to 10 000 cells or 15 MB, without ever using them."""
        for cache in (self._line_cache, self._row_render_cache, self._row_renderable_cache, self._cell_render_cache):
            cache.clear()

    @property
    def render_state(self) -> tuple[object, ...]:
        """What the look of a cell depends on besides text and cursor: mouse hover and focus."""
        return self._show_hover_cursor, self._pseudo_class_state


def keymap_of(app: App[Any]) -> dict[str, str]:
    """The remapped keys by the ids of their bindings; `App.set_keymap` has no getter."""
    return dict(app._keymap)


def queued_writes(driver: LinuxDriver) -> int:
    """Writes that wait for the terminal; the driver blocks when its queue is full, and does not tell."""
    return driver._writer_thread._queue.qsize() if driver._writer_thread is not None else 0


def is_layout_pending(screen: Screen[Any]) -> bool:
    """Whether the screen has still to be laid out; no message waits for that."""
    return screen._layout_required


def is_mounted(node: MessagePump) -> bool:
    """Whether the widget has handled its mount event."""
    return node._is_mounted
