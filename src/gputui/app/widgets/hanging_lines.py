"""Sentences behind a mark, wrapped under themselves."""

from collections.abc import Sequence

from rich.cells import cell_len
from textual.content import Content
from textual.geometry import Size

from gputui.app.lines import Line, Run
from gputui.app.widgets.drawn_lines import DrawnLines

Marked = tuple[Run, Run]
"""A mark and its sentence."""


class HangingLines(DrawnLines):
    """As high as its sentences are at its width, up to `most` lines."""

    def __init__(self, most: int, **options: str) -> None:
        super().__init__(**options)
        self._most = most
        self._said: tuple[Marked, ...] = ()

    def say(self, sentences: Sequence[Marked]) -> None:
        """Take in new sentences; without any there is nothing to see."""
        said = tuple(sentences)
        if said == self._said:
            return
        self._said = said
        self.display = bool(said)
        self.draw(self._wrapped(self.size.width))
        self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as the sentences take."""
        del container, viewport
        return max(1, len(self._wrapped(width)))

    def on_resize(self) -> None:
        """Another width, other lines."""
        self.draw(self._wrapped(self.size.width))

    def _wrapped(self, width: int) -> list[Line]:
        if width <= 0:
            return []
        lines = [line for mark, text in self._said for line in _hanging(mark, text, width)]
        if len(lines) <= self._most:
            return lines
        *first, last = lines[self._most - 1]
        cut = Run(last.text.rstrip()[: width - sum(len(run.text) for run in first) - 1] + "…", last.style)
        return [*lines[: self._most - 1], (*first, cut)]


def _hanging(lead: Run, text: Run, width: int) -> list[Line]:
    """The text behind its lead, wrapped under itself."""
    indent = cell_len(lead.text)
    wrapped = Content(text.text).wrap(max(1, width - indent))
    return [
        (lead if number == 0 else Run(" " * indent, lead.style), Run(part.plain, text.style))
        for number, part in enumerate(wrapped)
    ]
