"""Sentences after a mark, wrapped with a hanging indent."""

from collections.abc import Sequence

from rich.cells import cell_len
from textual.content import Content
from textual.geometry import Size

from gputui.app.render.styled import Line, Run
from gputui.app.widgets.drawn_lines import DrawnLines

Marked = tuple[Run, Line]
"""A mark and its sentence."""


class HangingLines(DrawnLines):
    """Marked sentences; the height depends on the width, up to `max_lines` lines."""

    def __init__(self, max_lines: int | None = None, **options: str) -> None:
        super().__init__(**options)
        self.add_class("-silent")
        self._max_lines = max_lines
        self._sentences: tuple[Marked, ...] = ()
        self._cache: tuple[int, tuple[Marked, ...], list[Line]] | None = None

    def say(self, sentences: Sequence[Marked]) -> None:
        """Show new sentences; without any the widget is hidden."""
        new_sentences = tuple(sentences)
        if new_sentences == self._sentences:
            return
        self._sentences = new_sentences
        self.set_class(not new_sentences, "-silent")
        self.draw(self._wrapped(self.size.width))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """The number of wrapped lines."""
        del container, viewport
        return max(1, len(self._wrapped(width)))

    def on_resize(self) -> None:
        """Wrap for the new width."""
        self.draw(self._wrapped(self.size.width))

    def _wrapped(self, width: int) -> list[Line]:
        if width <= 0:
            return []
        if self._cache is None or self._cache[:2] != (width, self._sentences):
            self._cache = (width, self._sentences, self._wrap(width))
        return self._cache[2]

    def _wrap(self, width: int) -> list[Line]:
        lines = [line for mark, text in self._sentences for line in hanging(mark, text, width - 1)]
        if self._max_lines is None or len(lines) <= self._max_lines:
            return lines
        *head, tail = lines[self._max_lines - 1]
        cut = Run(tail.text.rstrip() + "…", tail.style)  # there is a spare cell at the right
        return [*lines[: self._max_lines - 1], (*head, cut)]


def hanging(lead: Run, text: Line, width: int) -> list[Line]:
    """The text after its lead, wrapped with a hanging indent."""
    indent = cell_len(lead.text)
    content = Content.assemble(*((run.text, run.style or "text") for run in text))
    below = Run(" " * indent, lead.style)
    return [
        (lead if number == 0 else below, *_runs(part))
        for number, part in enumerate(content.wrap(max(1, width - indent)))
    ]


def _runs(part: Content) -> Line:
    """The spans, which do not overlap, as runs."""
    return tuple(Run(part.plain[span.start : span.end], str(span.style)) for span in part.spans) or (Run(part.plain),)
