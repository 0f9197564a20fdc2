"""Only ASCII on the screen, for terminals and locales that have nothing else."""

from rich.cells import cell_len
from rich.segment import Segment
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
