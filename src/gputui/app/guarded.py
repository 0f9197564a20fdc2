"""Widgets whose errors do not end the screen."""

from textual.message import Message
from textual.message_pump import MessagePump


class Guarded(MessagePump):
    """A screen or widget that goes on after an error in one of its message handlers; Textual would end the app.

    To be named before the widget's own class, so that it stands around its handlers.
    """

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except Exception as error:  # a defect in one pane must not take the others away
            self.app.report(error)  # type: ignore[attr-defined]
