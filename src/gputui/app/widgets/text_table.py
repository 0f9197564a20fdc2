"""A table of plain text that is only read."""

from collections.abc import Sequence

from textual.content import Content
from textual.widgets import Static


class TextTable(Static):
    """Columns as wide as they need to be; repainted only when a word changes."""

    def show(self, head: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
        """Take in new rows."""
        widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
        lines = [Content.styled(_line(head, widths), "dim")]
        lines += [Content(_line(row, widths)) for row in rows] if rows else [Content.styled(f" {empty}", "dim")]
        content = Content("\n").join(lines)
        if content != self.content:
            self.update(content)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return " " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
