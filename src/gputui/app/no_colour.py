"""No colour at all, for NO_COLOR and the theme of that kind."""

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter


class NoColour(LineFilter):
    """Leaves bold, dim, italic and underlined text as it is; what stands on a background of its own is reversed."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments without colours."""
        del background
        return [
            segment if segment.control else Segment(segment.text, without_colour(segment.style)) for segment in segments
        ]


def without_colour(style: Style | None) -> Style | None:
    """The style in the terminal's own colours."""
    if style is None:
        return None
    ground = style.bgcolor
    return Style(
        bold=style.bold,
        dim=style.dim,
        italic=style.italic,
        underline=style.underline,
        reverse=bool(style.reverse) or (ground is not None and not ground.is_default),
        meta=style.meta,
    )
