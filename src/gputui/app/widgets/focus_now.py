"""Giving a widget the keys at once."""

from textual.widget import Widget


def focus_now(widget: Widget) -> None:
    """The next key is its own.

    `Widget.focus` does it a moment later, and what somebody types fast after the key that asked for it would go to
    whatever had the keys before: the `a` of a filter would apply.
    """
    widget.screen.set_focus(widget)
