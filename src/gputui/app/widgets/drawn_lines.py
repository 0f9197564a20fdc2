"""A widget of styled lines; only changed lines are repainted."""

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from gputui.app.render.styled import Line

STYLES = (
    "text", "dim", "frame", "over", "lost", "title", "warning", "graph", "service", "service-other", "foreign",
    "planned", "freed", "free", "finding",
)  # fmt: skip
"""The style names of runs; their colours are defined in `lines.tcss`."""


class DrawnLines(Widget):
    """Styled lines; the height is their number."""

    COMPONENT_CLASSES = {f"line--{name}" for name in STYLES}

    def __init__(self, **options: str) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._lines: list[Line] = []
        self._styles_of: dict[str, Style] = {}

    def draw(self, lines: Sequence[Line]) -> None:
        """Show new lines."""
        previous, self._lines = self._lines, list(lines)
        if len(previous) != len(self._lines):
            self.refresh(layout=True)
            return
        for y, (old, new) in enumerate(zip(previous, self._lines, strict=True)):
            if old != new:
                self.refresh(Region(0, y, self.size.width, 1))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """The number of lines."""
        del container, viewport, width
        return max(1, len(self._lines))

    def notify_style_update(self) -> None:
        """Drop cached styles when the theme changes."""
        super().notify_style_update()
        self._styles_of = {}

    def _style(self, name: str) -> Style:
        style = self._styles_of.get(name)
        if style is None:
            style = self._styles_of[name] = self.get_component_rich_style(f"line--{name}")
        return style

    def render_line(self, y: int) -> Strip:
        """Render one line."""
        if y >= len(self._lines):
            return Strip.blank(self.size.width, self.rich_style)
        segments = [Segment(run.text, self._style(run.style)) for run in self._lines[y]]
        return Strip(segments).adjust_cell_length(self.size.width, self.rich_style)
