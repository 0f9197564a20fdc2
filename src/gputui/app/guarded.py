"""Widgets whose errors do not end the app."""

from gputui.app.terminal.textual_internals import GuardedDispatch


class Guarded(GuardedDispatch):
    """A screen or widget that survives an error in one of its message handlers; Textual would end the app.

    Must come before the widget class in the list of bases, to wrap its handlers.
    """

    def handle_dispatch_error(self, error: Exception) -> None:
        """Report the error and go on."""
        self.app.report(error)  # type: ignore[attr-defined]
