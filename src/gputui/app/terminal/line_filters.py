"""Filters between the screen and the terminal: no control characters, only ASCII, no colour."""

import re

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

_SIGNS = {
    "█": "#", "▓": "%", "▒": "+", "▚": "-", "░": ".", "·": ".", "…": "~", "–": "-", "—": "-", "─": "-", "━": "-",
    "│": "|", "┃": "|", "▎": "|", "╭": "+", "╮": "+", "╰": "+", "╯": "+", "┌": "+", "┐": "+", "└": "+", "┘": "+",
    "├": "+", "┤": "+", "┬": "+", "┴": "+", "┼": "+", "▔": "-", "▁": "_", "▂": "_", "▃": "-", "▄": "-", "▅": "=",
    "▆": "=", "▇": "#", "▌": "#", "▐": "#", "▀": "#", "▲": "!", "▼": "v", "✗": "x", "✓": "v", "●": "*", "○": "o",
    "→": ">", "←": "<", "↓": "v", "↑": "^", "↩": "<", "⏎": "<", "°": "C", "×": "x", "−": "-", "“": '"', "”": '"',
    "‘": "'", "’": "'", "≈": "~", "≤": "<", "≥": ">", "•": "*", "▸": ">", "▶": ">", "⣿": "#", "\u00a0": " ",
}  # fmt: skip


def ascii_text(text: str) -> str:
    """The text with as many cells, in ASCII; what has no likeness becomes a question mark, a braille graph dots."""
    if text.isascii():
        return text
    parts = []
    for sign in text:
        if sign.isascii():
            parts.append(sign)
        elif "\u2800" <= sign <= "\u28ff":
            parts.append(" .:#"[min(3, (bin(ord(sign) - 0x2800).count("1") + 2) // 3)])
        else:
            parts.append(_SIGNS.get(sign, "?" * cell_len(sign)))
    return "".join(parts)


class AsciiSigns(LineFilter):
    """Turns every line into ASCII."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments with as many cells."""
        del background
        return [
            segment if segment.control else Segment(ascii_text(segment.text), segment.style) for segment in segments
        ]


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


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class ControlCharacterFilter(LineFilter):
    """Drops control characters from every segment that is text."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments without them."""
        del background
        return [
            Segment(_CONTROL.sub("", text), style, control) if not control and _CONTROL.search(text) else segment
            for segment in segments
            for text, style, control in (segment,)
        ]
