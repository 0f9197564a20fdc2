"""Widgets whose errors do not end the app."""

from textual.message import Message
from textual.message_pump import MessagePump


class Guarded(MessagePump):
    """A screen or widget that survives an error in one of its message handlers; Textual would end the app.

    Must come before the widget class in the list of bases, to wrap its handlers.
    """

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except Exception as error:  # a defect in one pane must not take the others away
            self.app.report(error)  # type: ignore[attr-defined]
