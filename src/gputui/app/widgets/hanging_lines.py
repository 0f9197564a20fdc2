"""Sentences behind a mark, wrapped under themselves."""

from collections.abc import Sequence

from rich.cells import cell_len
from textual.content import Content
from textual.geometry import Size

from gputui.app.render.styled import Line, Run
from gputui.app.widgets.drawn_lines import DrawnLines

Marked = tuple[Run, Line]
"""A mark and its sentence."""


class HangingLines(DrawnLines):
    """As high as its sentences are at its width, up to `most` lines where it has a bound."""

    def __init__(self, most: int | None = None, **options: str) -> None:
        super().__init__(**options)
        self.add_class("-silent")
        self._most = most
        self._said: tuple[Marked, ...] = ()
        self._kept: tuple[int, tuple[Marked, ...], list[Line]] | None = None

    def say(self, sentences: Sequence[Marked]) -> None:
        """Take in new sentences; without any there is nothing to see."""
        said = tuple(sentences)
        if said == self._said:
            return
        self._said = said
        self.set_class(not said, "-silent")
        self.draw(self._wrapped(self.size.width))

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
        if self._kept is None or self._kept[:2] != (width, self._said):
            self._kept = (width, self._said, self._wrap(width))
        return self._kept[2]

    def _wrap(self, width: int) -> list[Line]:
        lines = [line for mark, text in self._said for line in hanging(mark, text, width - 1)]
        if self._most is None or len(lines) <= self._most:
            return lines
        *first, last = lines[self._most - 1]
        cut = Run(last.text.rstrip() + "…", last.style)  # a cell is left at the right
        return [*lines[: self._most - 1], (*first, cut)]


def hanging(lead: Run, text: Line, width: int) -> list[Line]:
    """The text behind its lead, wrapped under itself."""
    indent = cell_len(lead.text)
    whole = Content.assemble(*((run.text, run.style or "text") for run in text))
    below = Run(" " * indent, lead.style)
    return [
        (lead if number == 0 else below, *_runs(part)) for number, part in enumerate(whole.wrap(max(1, width - indent)))
    ]


def _runs(part: Content) -> Line:
    """Its spans, which do not overlap, as runs."""
    return tuple(Run(part.plain[one.start : one.end], str(one.style)) for one in part.spans) or (Run(part.plain),)
