"""The last fence before the terminal: no control character of anybody's text gets through.

Text is made safe where it enters (`domain.text`); this catches what was forgotten. Textual has a hook for it that it
does not promise to keep, so Textual is pinned.
"""

import re

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class ControlCharacterFence(LineFilter):
    """Drops control characters from every segment that is text."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments without them."""
        del background
        return [
            Segment(_CONTROL.sub("", text), style, control) if not control and _CONTROL.search(text) else segment
            for segment in segments
            for text, style, control in (segment,)
        ]
