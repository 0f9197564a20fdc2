"""Line filters before the terminal: control characters, ASCII, no colour."""

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
    """The text in ASCII, of the same width; unknown signs become question marks, braille graphs dots."""
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
    """Replaces all signs by ASCII."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments in ASCII, of the same width."""
        del background
        return [
            segment if segment.control else Segment(ascii_text(segment.text), segment.style) for segment in segments
        ]


class NoColour(LineFilter):
    """Removes colours but keeps text attributes; text on a coloured background is reversed."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments without colours."""
        del background
        return [
            segment if segment.control else Segment(segment.text, without_colour(segment.style)) for segment in segments
        ]


def without_colour(style: Style | None) -> Style | None:
    """The style in the default colours of the terminal."""
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
    """Removes control characters from text segments."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments without control characters."""
        del background
        return [
            Segment(_CONTROL.sub("", text), style, control) if not control and _CONTROL.search(text) else segment
            for segment in segments
            for text, style, control in (segment,)
        ]
